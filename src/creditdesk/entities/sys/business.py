"""Declares `Business`, served at `/api/sys/businesses`."""

from __future__ import annotations

from creditdesk.entities.enums import eFloorUnit, eLanguage, ePassportAccess, eVenueType
from creditdesk.schema.entity import EVERY_MEMBER, Entity
from creditdesk.schema.fields import (
    Boolean,
    DateTime,
    Embed,
    Enum,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class Business(
    Entity,
    area="sys",
    plural="businesses",
    verbs=("list", "get", "update"),
    label="Name",
    scope="Id",
    owner=EVERY_MEMBER,
):
    """A location: it issues credit in its own currency and has its own time zone."""

    VisitedHelpItems = Integer(update_only=True, nullable=False)
    Name = Text(update_only=True, nullable=False)
    DefaultLanguage = Enum(eLanguage, update_only=True, nullable=False)
    SpaceWebsiteLanguage = Reference("SpaceWebsiteLanguage", update_only=True, embeds=("Culture",), is_local=False)
    RootLocation = Reference("Business", read_only=True)
    WebAddress = Text(update_only=True)
    DefaultPaymentGateway = Reference("DefaultPaymentGateway", update_only=True, is_local=False)
    NextInvoice = DateTime(read_only=True)
    TermsAndConditions = Text(update_only=True)
    ShortIntroduction = Text(update_only=True)
    AboutUs = Text(update_only=True)
    Quote = Text(update_only=True)
    PrivacyPolicyUrl = Text(update_only=True)
    CookiePolicyUrl = Text(update_only=True)
    WebContact = Text(update_only=True)
    WelcomeEmail = Text(update_only=True, exact=True)
    Address = Text(update_only=True)
    Phone = Text(update_only=True)
    Fax = Text(update_only=True)
    EmailContact = Text(update_only=True, exact=True)
    TrialExpireDate = DateTime(update_only=True)
    LastOverDueInvoiceReminder = DateTime(update_only=True)
    LastWelcomeEmail = DateTime(update_only=True)
    Country = Reference("Country", update_only=True, nullable=False, embeds=("Name",), is_local=False)
    Currency = Reference(
        "Currency",
        update_only=True,
        nullable=False,
        embeds=(Embed("Code", denormalized=True),),
    )
    SimpleTimeZone = Reference("SimpleTimeZone", update_only=True, nullable=False, is_local=False)
    LogoFileName = Text(read_only=True)
    NewLogoUrl = Text(update_only=True, write_only=True)
    ClearLogoFile = Boolean(update_only=True, write_only=True)
    BannerImageFileName = Text(read_only=True)
    NewBannerImageUrl = Text(update_only=True, write_only=True)
    ClearBannerImageFile = Boolean(update_only=True, write_only=True)
    NexIoBannerImageFileName = Text(read_only=True)
    NewNexIoBannerImageUrl = Text(update_only=True, write_only=True)
    ClearNexIoBannerImageFile = Boolean(update_only=True, write_only=True)
    DiscountPercentage = Number(update_only=True)
    DiscountAmount = Money(update_only=True)
    LastLanguageTokenUpdate = DateTime(update_only=True)
    HasCreatedDefaultFileTemplates = Boolean(update_only=True, nullable=False)
    InvoicingPeriod = Integer(update_only=True)
    Suspended = Boolean(update_only=True, nullable=False)
    CustomPassportApp = Boolean(update_only=True, nullable=False)
    RemindersProcessedOn = DateTime(update_only=True)
    PreAuthId = Text(update_only=True)
    Last4Digits = Text(update_only=True)
    PreAuthLastError = Text(update_only=True)
    PreAuthProcessedOn = DateTime(update_only=True)
    LastChargedInvoice = Integer(update_only=True)
    LastChargedTransaction = Integer(update_only=True)
    LastChargedAttendee = Integer(update_only=True)
    PassportChannels = Text(update_only=True)
    PassportOnly = Boolean(update_only=True, nullable=False)
    PassportPublished = Boolean(update_only=True, nullable=False)
    PassportBannerFileName = Text(read_only=True)
    NewPassportBannerUrl = Text(update_only=True, write_only=True)
    ClearPassportBannerFile = Boolean(update_only=True, write_only=True)
    PassportSpaceName = Text(update_only=True)
    PassportTagLine = Text(update_only=True)
    VenueType = Enum(eVenueType, update_only=True)
    Tags = Text(update_only=True)
    NumberOfFloors = Integer(update_only=True)
    FloorSpace = Integer(update_only=True)
    FloorSpaceUnit = Enum(eFloorUnit, update_only=True)
    Longitude = Number(update_only=True)
    Latitude = Number(update_only=True)
    PassportDescription = Text(update_only=True)
    TownCity = Text(update_only=True)
    State = Text(update_only=True)
    PostalCode = Text(update_only=True, exact=True)
    StreetName = Text(update_only=True)
    StreetNumber = Text(update_only=True, exact=True)
    Neighborhood = Text(update_only=True)
    ContactPhoneNumber = Text(update_only=True, exact=True)
    ContactEmail = Text(update_only=True, exact=True)
    PassportMembersAccess = Enum(ePassportAccess, update_only=True, nullable=False)
    PassportEventsAccess = Enum(ePassportAccess, update_only=True, nullable=False)
    PassportCommunityAccess = Enum(ePassportAccess, update_only=True, nullable=False)
    PassportBlogPostsAccess = Enum(ePassportAccess, update_only=True, nullable=False)
    MondayOpenTime = Integer(update_only=True)
    MondayCloseTime = Integer(update_only=True)
    TuesdayOpenTime = Integer(update_only=True)
    TuesdayCloseTime = Integer(update_only=True)
    WednesdayOpenTime = Integer(update_only=True)
    WednesdayCloseTime = Integer(update_only=True)
    ThursdayOpenTime = Integer(update_only=True)
    ThursdayCloseTime = Integer(update_only=True)
    FridayOpenTime = Integer(update_only=True)
    FridayCloseTime = Integer(update_only=True)
    SaturdayOpenTime = Integer(update_only=True)
    SaturdayCloseTime = Integer(update_only=True)
    SundayOpenTime = Integer(update_only=True)
    SundayCloseTime = Integer(update_only=True)
    MondayClosed = Boolean(update_only=True, nullable=False)
    TuesdayClosed = Boolean(update_only=True, nullable=False)
    WednesdayClosed = Boolean(update_only=True, nullable=False)
    ThursdayClosed = Boolean(update_only=True, nullable=False)
    FridayClosed = Boolean(update_only=True, nullable=False)
    SaturdayClosed = Boolean(update_only=True, nullable=False)
    SundayClosed = Boolean(update_only=True, nullable=False)
    SameOpeningTimes = Boolean(update_only=True, nullable=False)
    CurrentBackEndVersion = Integer(update_only=True)
    AuthenticationProvider = Text(update_only=True)
    CreatedBy = Text(update_only=True)
    DefaultPaymentTerm = Integer(update_only=True)
