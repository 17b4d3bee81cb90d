"""Declares `Booking`, served at `/api/spaces/bookings`."""

from __future__ import annotations

from creditdesk.entities.enums import eBookingRepeatCycle, eRepeatedBookingUpdateAction
from creditdesk.schema.entity import CoveringIndex, Entity
from creditdesk.schema.fields import (
    Boolean,
    Computed,
    DateTime,
    Embed,
    Enum,
    Guid,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class Booking(
    Entity,
    area="spaces",
    plural="bookings",
    order="FromTime",
    title="{ResourceName} (#{BookingNumber})",
    scope="ResourceBusinessId",
    owner="CoworkerId",
    covering_indexes=(
        CoveringIndex("uncharged", ("FromTime", "Id"), ("ToTime",), condition="invoiced = FALSE AND tentative = FALSE"),
    ),
):
    """A resource that is reserved for a customer from one time to another.

    The index `uncharged` finds past bookings that are not charged, which are few.
    """

    Resource = Reference(
        "Resource",
        required=True,
        embeds=(
            Embed("Name", denormalized=True),
            "Allocation",
            "HideInCalendar",
            "NoReturnPolicy",
            "NoReturnPolicyAllResources",
            "NoReturnPolicyAllUsers",
            "ResourceType.Id",
            "ResourceType.Name",
        ),
        filter_only=("Business.Id",),
    )
    FloorPlanDesk = Reference("FloorPlanDesk", embeds=("Name",), is_local=False)
    Coworker = Reference(
        "Coworker",
        embeds=(
            Embed("CoworkerType", as_text=True),
            "FullName",
            "MobilePhone",
            "LandLine",
            "BillingName",
            "CompanyName",
            "TeamNames",
        ),
    )
    ExtraService = Reference("ExtraService", embeds=("Name",))
    FromTime = DateTime(required=True)
    ToTime = DateTime(required=True)
    Notes = Text()
    InternalNotes = Text(create_only=True)
    ChargeNow = Boolean(nullable=False)
    InvoiceNow = Boolean(nullable=False)
    InvoiceThisCoworker = Boolean(nullable=False)
    DoNotUseBookingCredit = Boolean(nullable=False)
    PurchaseOrder = Text()
    DiscountCode = Text(exact=True)
    LastNotificationTime = DateTime(read_only=True)
    GoogleCalendarId = Text(read_only=True)
    GoogleEventId = Text(read_only=True)
    Office365EventId = Text(read_only=True)
    PublicGoogleEventId = Text(read_only=True)
    Tentative = Boolean(nullable=False)
    Online = Boolean(read_only=True, nullable=False)
    TeamsAtTheTimeOfBooking = Text()
    TariffAtTheTimeOfBooking = Text()
    RepeatSeriesUniqueId = Guid()
    RepeatBooking = Boolean(create_only=True, nullable=False)
    Repeats = Enum(eBookingRepeatCycle, default=2, nullable=False)
    WhichBookingsToUpdate = Enum(eRepeatedBookingUpdateAction, nullable=False)
    RepeatEvery = Integer(create_only=True)
    RepeatUntil = DateTime(create_only=True)
    RepeatOnMondays = Boolean(nullable=False)
    RepeatOnTuesdays = Boolean(nullable=False)
    RepeatOnWednesdays = Boolean(nullable=False)
    RepeatOnThursdays = Boolean(nullable=False)
    RepeatOnFridays = Boolean(nullable=False)
    RepeatOnSaturdays = Boolean(nullable=False)
    RepeatOnSundays = Boolean(nullable=False)
    Reminded = Boolean(read_only=True, nullable=False)
    MrmReminded = Boolean(read_only=True, nullable=False)
    OverridePrice = Money()
    Invoiced = Boolean(read_only=True, nullable=False)
    InvoiceDate = DateTime(read_only=True)
    BookingNumber = Integer(read_only=True)
    KisiKeyId = Integer(read_only=True)
    StartScheduledJobId = Text(read_only=True)
    EndScheduledJobId = Text(read_only=True)
    Billed = Boolean(read_only=True, nullable=False)
    FromTimeLocal = DateTime(read_only=True)
    ToTimeLocal = DateTime(read_only=True)
    CoworkerInvoiceId = Integer(read_only=True)
    CoworkerInvoiceNumber = Text(read_only=True, exact=True)
    CoworkerInvoicePaid = Boolean(read_only=True)
    CoworkerInvoiceDraft = Boolean(read_only=True)
    CoworkerInvoiceVoid = Boolean(read_only=True)
    CoworkerInvoiceCreditNote = Boolean(read_only=True)
    CoworkerExtraServiceIds = Text(read_only=True)
    CoworkerExtraServicePrice = Money(read_only=True)
    CoworkerExtraServiceCurrencyCode = Text(read_only=True, exact=True)
    CoworkerExtraServiceChargePeriod = Integer(read_only=True)
    CoworkerExtraServiceTotalUses = Integer(read_only=True)
    IncludeZoomInvite = Boolean(nullable=False)
    CheckedInAt = DateTime(read_only=True)
    CancelIfNotPaid = Boolean(read_only=True, nullable=False)
    CancelIfNotCheckedIn = Boolean(read_only=True, nullable=False)
    MaxOccupancy = Integer(read_only=True)
    LastMinutePriceAdjustment = Money(read_only=True)
    DynamicPriceAdjustment = Money(read_only=True)
    PriceFactorLastMinute = Number(read_only=True)
    PriceFactorDemand = Number(read_only=True)
    CoworkerCheckedInAt = DateTime()
    CoworkerCheckedOutAt = DateTime()
    AvailableCredit = Computed("money")
    BookingProducts = Computed("object[]", value=())
    BookingVisitors = Computed("object[]", value=())
    ChargedExtraServices = Computed("object[]", value=())
    DisableConfirmation = Computed("boolean", value=False)
    DiscountAmount = Computed("money")
    EstimagedCost = Computed("money")
    EstimatedCost = Computed("money")
    EstimatedCostWithProducts = Computed("money")
    EstimatedExtraService = Computed("object")
    EstimatedProductCost = Computed("money", value=0)
    Invoice = Computed("object")
    IsEvent = Computed("boolean", value=False)
    IsTour = Computed("boolean", value=False)
    MinutesToStart = Computed("integer")
    OverrideResourceLimits = Computed("boolean", value=False)
    SkipGoogleCalendarUpdate = Computed("boolean", value=False)
