"""Declares `CalendarEvent`, served at `/api/content/calendarevents`."""

from __future__ import annotations

from creditdesk.entities.enums import eCalendarEventRepeatCycle, eRepeatedCalendarEventUpdateAction
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Embed,
    Enum,
    Guid,
    Integer,
    Reference,
    Text,
)


class CalendarEvent(
    Entity,
    area="content",
    plural="calendarevents",
    order="StartDate",
    label="Name",
    scope="BusinessId",
):
    """An event that people attend with tickets."""

    Business = Reference("Business", required=True)
    Name = Text(required=True)
    HostFullName = Text()
    ShortDescription = Text()
    LongDescription = Text()
    TicketNotes = Text()
    EnableWaitList = Boolean(nullable=False)
    AskBuyerAddress = Boolean(nullable=False)
    ShowEventAttendees = Boolean(nullable=False)
    Location = Text()
    VenueAddress = Text()
    Resource = Reference("Resource", embeds=(Embed("Name", trailing=True),))
    StartDate = DateTime(required=True)
    EndDate = DateTime(required=True)
    Allocation = Integer()
    EventCategories = Collection("CalendarEventCategory")
    PublishDate = DateTime()
    ShowInHomeBanner = Boolean(nullable=False)
    ShowInHomePage = Boolean(nullable=False)
    AllowComments = Boolean(nullable=False)
    IncludeZoomInvite = Boolean(nullable=False)
    CreateZoomWebinarInvite = Boolean(nullable=False)
    ZoomWebinarAlternativeHosts = Text()
    ZoomEventData = Text(read_only=True)
    ZoomMeetingId = Text(read_only=True)
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    SmallLogoFileName = Text(read_only=True)
    NewSmallLogoUrl = Text(write_only=True)
    ClearSmallLogoFile = Boolean(write_only=True)
    LargeLogoFileName = Text(read_only=True)
    NewLargeLogoUrl = Text(write_only=True)
    ClearLargeLogoFile = Boolean(write_only=True)
    WebAddress = Text()
    FacebookPage = Text()
    TicketsPage = Text()
    RepeatSeriesUniqueId = Guid()
    RepeatEvent = Boolean(create_only=True, nullable=False)
    Repeats = Enum(eCalendarEventRepeatCycle, default=2, nullable=False)
    WhichEventsToUpdate = Enum(eRepeatedCalendarEventUpdateAction, required=True)
    RepeatEvery = Integer(create_only=True)
    RepeatUntil = DateTime(create_only=True)
    RepeatOnMondays = Boolean(nullable=False)
    RepeatOnTuesdays = Boolean(nullable=False)
    RepeatOnWednesdays = Boolean(nullable=False)
    RepeatOnThursdays = Boolean(nullable=False)
    RepeatOnFridays = Boolean(nullable=False)
    RepeatOnSaturdays = Boolean(nullable=False)
    RepeatOnSundays = Boolean(nullable=False)
    StartDateLocal = DateTime(read_only=True)
    EndDateLocal = DateTime(read_only=True)
    PublishDateLocal = DateTime(read_only=True)
    AfterEventNotificationJobId = Text(read_only=True)
    SendAfterEventNotification = Boolean(nullable=False)
    AfterEventNotificationText = Text()
    SendBeforeEventNotification = Boolean(nullable=False)
    HasEventForm = Boolean(nullable=False)
    SendEventFormByEmail = Boolean(nullable=False)
    FormPage = Reference("FormPage", embeds=("Name",), is_local=False)
    Tariffs = Collection("Tariff", trailing=True)
    Teams = Collection("Team", trailing=True)
    Members = Collection("Coworker", trailing=True)
    TariffNames = Text(read_only=True, trailing=True)
    TeamNames = Text(read_only=True, trailing=True)
    CoworkerFullNames = Text(read_only=True, trailing=True)
