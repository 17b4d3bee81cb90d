"""Declares `Resource`, served at `/api/spaces/resources`."""

from __future__ import annotations

from creditdesk.entities.enums import eCancellationFeeType, eResourceType
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    DateTime,
    Enum,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class Resource(Entity, area="spaces", plural="resources", order="Name", label="Name", scope="BusinessId"):
    """A room, desk or object that can be booked."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    SystemResourceType = Enum(eResourceType, required=True)
    ResourceType = Reference("ResourceType", required=True, embeds=("Name",))
    Description = Text()
    PictureFileName = Text(read_only=True)
    NewPictureUrl = Text(write_only=True)
    ClearPictureFile = Boolean(write_only=True)
    EmailConfirmationContent = Text()
    Visible = Boolean(nullable=False)
    RequiresConfirmation = Boolean(nullable=False)
    DisplayOrder = Integer(default=0, nullable=False)
    GroupName = Text()
    Projector = Boolean(nullable=False)
    Internet = Boolean(nullable=False)
    ConferencePhone = Boolean(nullable=False)
    StandardPhone = Boolean(nullable=False)
    WhiteBoard = Boolean(nullable=False)
    LargeDisplay = Boolean(nullable=False)
    Catering = Boolean(nullable=False)
    TeaAndCoffee = Boolean(nullable=False)
    Drinks = Boolean(nullable=False)
    SecurityLock = Boolean(nullable=False)
    CCTV = Boolean(nullable=False)
    VoiceRecorder = Boolean(nullable=False)
    AirConditioning = Boolean(nullable=False)
    Heating = Boolean(nullable=False)
    NaturalLight = Boolean(nullable=False)
    StandingDesk = Boolean(nullable=False)
    QuietZone = Boolean(nullable=False)
    WirelessCharger = Boolean(nullable=False)
    PrivacyScreen = Boolean(nullable=False)
    Soundproof = Boolean(nullable=False)
    VideoConferencing = Boolean(nullable=False)
    DualDisplayScreen = Boolean(nullable=False)
    DisplayScreen = Boolean(nullable=False)
    WirelessPresentation = Boolean(nullable=False)
    PaSystem = Boolean(nullable=False)
    DesktopMonitor = Boolean(nullable=False)
    FlipChart = Boolean(nullable=False)
    SecureStorage = Boolean(nullable=False)
    AllowMultipleBookings = Boolean(nullable=False)
    Allocation = Integer()
    LimitVisitorsToAllocation = Boolean(nullable=False)
    BookInAdvanceLimit = Number()
    LateBookingLimit = Number()
    LateCancellationLimit = Integer()
    IntervalLimit = Integer()
    NoReturnPolicy = Integer()
    NoReturnPolicyAllResources = Integer()
    NoReturnPolicyAllUsers = Integer()
    MaxBookingLength = Integer()
    MinBookingLength = Integer()
    Tariffs = Collection("Tariff")
    Teams = Collection("Team")
    Shifts = Text()
    LinkedResources = Collection("Resource")
    GoogleCalendarId = Text()
    KisiGroupId = Text()
    AccessControlGroupId = Text()
    AccessControlGroupIds = Text(read_only=True)
    Longitude = Number()
    Latitude = Number()
    HideInCalendar = Boolean(nullable=False)
    Archived = Boolean(nullable=False)
    UseSharedZoomAccount = Boolean(nullable=False)
    ZoomAccessToken = Text()
    ZoomRefreshToken = Text()
    ZoomUserId = Text()
    LastCleanedAt = DateTime()
    Office365CalendarId = Text()
    LinkedResourceIds = Text()
    OnlyForContacts = Boolean(nullable=False)
    OnlyForMembers = Boolean(nullable=False)
    OnlyForInvoicingBusiness = Boolean(nullable=False)
    BookingAvailabilityExceptions = Collection("BookingAvailabilityExceptions", is_local=False)
    CancellationFeeProduct = Reference("Product")
    ChargeCancellationFee = Boolean(nullable=False)
    CancellationFeeType = Enum(eCancellationFeeType, required=True)
    CancellationFeeAmount = Money()
    CancellationFeePercentage = Number()
    RepeatBookingQuantityLimit = Integer()
    RepeatBookingPeriodLimitInMonths = Integer()
