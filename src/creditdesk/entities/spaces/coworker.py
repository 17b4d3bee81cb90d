"""Declares `Coworker`, served at `/api/spaces/coworkers`."""

from __future__ import annotations

from creditdesk.entities.enums import (
    eCoworkerAttendance,
    eCoworkerRecordType,
    eCoworkerTaxRateType,
    eGender,
    eRegularPaymentProvider,
)
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Computed,
    DateTime,
    Embed,
    Enum,
    Integer,
    Number,
    Reference,
    Text,
)


class Coworker(
    Entity,
    area="spaces",
    plural="coworkers",
    verbs=("list", "get", "create", "update"),
    order="FullName",
    label="FullName",
    title="{FullName} - {Email}",
    scope="Businesses",
    owner="Id",
    cached_fields=("UserId", "Active", "Archived"),
):
    """A customer: a person or a company that holds credit."""

    CoworkerType = Enum(eCoworkerRecordType, required=True)
    Businesses = Collection("Business")
    Teams = Collection("Team", inverse_of="TeamMembers")
    FullName = Text(required=True)
    Salutation = Text()
    Gender = Enum(eGender, default=1, nullable=False)
    Email = Text(required=True, exact=True)
    CreateUser = Boolean(create_only=True, nullable=False)
    AvatarFileName = Text(read_only=True)
    NewAvatarUrl = Text(write_only=True)
    ClearAvatarFile = Boolean(write_only=True)
    BannerImageFileName = Text(read_only=True)
    NewBannerImageUrl = Text(write_only=True)
    ClearBannerImageFile = Boolean(write_only=True)
    Address = Text()
    PostCode = Text(exact=True)
    CityName = Text()
    State = Text()
    Country = Reference("Country", required=True, is_local=False)
    SimpleTimeZone = Reference("SimpleTimeZone", required=True, is_local=False)
    MobilePhone = Text()
    LandLine = Text()
    DateOfBirth = DateTime()
    NickName = Text()
    BusinessArea = Text()
    Position = Text()
    CompanyName = Text()
    ProfileWebsite = Text()
    ProfileTags = Text()
    ProfileSummary = Text()
    Twitter = Text()
    Facebook = Text()
    Google = Text()
    Telegram = Text()
    Linkedin = Text()
    Skype = Text()
    Github = Text()
    Pinterest = Text()
    Flickr = Text()
    Instagram = Text()
    Vimeo = Text()
    Tumblr = Text()
    Blogger = Text()
    ProfileIsPublic = Boolean(nullable=False)
    InvoicingBusiness = Reference("Business", embeds=("Name",))
    BillingEmail = Text(exact=True)
    BillingName = Text()
    BillingAddress = Text()
    BillingPostCode = Text(exact=True)
    BillingCityName = Text()
    BillingState = Text()
    BillingCountry = Reference("Country", is_local=False)
    BillingSimpleTimeZone = Reference("SimpleTimeZone", is_local=False)
    TaxRateType = Enum(eCoworkerTaxRateType, default=1, nullable=False)
    TaxRate = Number()
    TaxIDNumber = Text(exact=True)
    BankName = Text()
    BankAccount = Text()
    BankBranch = Text()
    NotifyOnNewInvoice = Boolean(nullable=False)
    NotifyOnNewPayment = Boolean(nullable=False)
    NotifyOnFailedPayment = Boolean(nullable=False)
    ShowPayingMemberInvoices = Boolean(nullable=False)
    EnableGoCardlessPayments = Boolean(nullable=False)
    UseGoCardlessProPayments = Boolean(nullable=False)
    GoCardlessContractNumber = Text(exact=True)
    StripeBacsDDPaymentMethodId = Text()
    StripeBacsDDMandateId = Text()
    StripeBacsDDCustomerToken = Text()
    StripeBacsDDEnabled = Boolean(nullable=False)
    LastOverDueInvoiceReminder = DateTime()
    LastLowCreditReminder = DateTime()
    RefererGuid = Text()
    RegularPaymentProvider = Enum(eRegularPaymentProvider)
    RegularPaymentContractNumber = Text(exact=True)
    CardNumber = Text(read_only=True, exact=True)
    DoNotProcessInvoicesAutomatically = Boolean(nullable=False)
    AllowNetworkCheckin = Boolean(nullable=False)
    CheckinSinceLastRenewal = Integer(read_only=True, nullable=False)
    MinutesSinceLastRenewal = Integer(read_only=True, nullable=False)
    AccessCardId = Text()
    AccessPincode = Text()
    KeyFobNumber = Text(exact=True)
    NotifyOnDelivery = Boolean(nullable=False)
    EzeepUserId = Text()
    EzeepFreePrinting = Boolean(nullable=False)
    EzeepBlueUserId = Text()
    EzeepBlueFreePrinting = Boolean(nullable=False)
    EzeepBluePrintingEnabled = Boolean(nullable=False)
    PaperCutPayAsYouPrint = Boolean(nullable=False)
    PaperCutFreePrinting = Boolean(nullable=False)
    PaperCutUserId = Text()
    CanMakeBookings = Boolean(nullable=False)
    CanBookForTeam = Boolean(nullable=False)
    CanPurchaseProducts = Boolean(nullable=False)
    CanPurchaseEvents = Boolean(nullable=False)
    CanAccessCommunity = Boolean(nullable=False)
    ReferenceNumber = Text(exact=True)
    Tag = Text()
    Notes = Text()
    ShowAlert = Boolean(nullable=False)
    AlertNote = Text()
    User = Reference(
        "User",
        update_only=True,
        embeds=("FullName", Embed("Active", trailing=True)),
        filter_only=(
            "IsAdmin",
            "LastAccess",
            "ReceiveCommunityDigest",
            "ReceiveEveryMessage",
        ),
    )
    Active = Boolean(nullable=False)
    NextAutoInvoice = DateTime(update_only=True)
    InvoiceDueDatePeriod = Integer()
    InvoiceDueDateDay = Integer()
    RegistrationDate = DateTime()
    GeneralTermsAccepted = Boolean(nullable=False)
    LastRenewal = DateTime()
    LastInvoiceAttempt = DateTime()
    Custom1 = Text()
    Custom2 = Text()
    Custom3 = Text()
    Custom4 = Text()
    Custom5 = Text()
    Custom6 = Text()
    Custom7 = Text()
    Custom8 = Text()
    Custom9 = Text()
    Custom10 = Text()
    Custom11 = Text()
    Custom12 = Text()
    Custom13 = Text()
    Custom14 = Text()
    Custom15 = Text()
    Custom16 = Text()
    Custom17 = Text()
    Custom18 = Text()
    Custom19 = Text()
    Custom20 = Text()
    Custom21 = Text()
    Custom22 = Text()
    Custom23 = Text()
    Custom24 = Text()
    Custom25 = Text()
    Custom26 = Text()
    Custom27 = Text()
    Custom28 = Text()
    Custom29 = Text()
    Custom30 = Text()
    NextInvoiceLocal = DateTime(read_only=True)
    NextAutoInvoiceLocal = DateTime(read_only=True)
    RegistrationDateLocal = DateTime(read_only=True)
    StripeACHBankToken = Text()
    StripeACHCustomerToken = Text()
    HasAcceptedStripeACHAgreement = Boolean(nullable=False)
    HasVerifiedStripeACHDeposits = Boolean(nullable=False)
    PurchaseOrder = Text()
    NotifyOnDeliveriesEmail = Text(exact=True)
    AccessControlErrorNotificationSent = Boolean(nullable=False)
    SyncToPaperCutDue = Boolean(nullable=False)
    SyncToSquare = Boolean(nullable=False)
    InvoiceSegregationOverride = Boolean(nullable=False)
    InvoiceSegregateContracts = Boolean(nullable=False)
    InvoiceSegregateBookings = Boolean(nullable=False)
    InvoiceSegregateProducts = Boolean(nullable=False)
    InvoiceSegregateTimePasses = Boolean(nullable=False)
    InvoiceSegregateTickets = Boolean(nullable=False)
    IsDefaultProfile = Boolean(nullable=False)
    InvoiceSegregateCharges = Boolean(nullable=False)
    EzeepPrintingEnabled = Boolean(nullable=False)
    BrivoUserId = Integer()
    MondayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    TuesdayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    WednesdayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    ThursdayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    FridayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    SaturdayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    SundayAttendance = Enum(eCoworkerAttendance, default=5, nullable=False)
    Longitude = Number()
    Latitude = Number()
    BillingLongitude = Number()
    BillingLatitude = Number()
    Archived = Boolean(nullable=False)
    TeamNames = Text(read_only=True)
    ChurnProbability = Number(read_only=True)
    EngagementLevel = Text(read_only=True)
    Tariff = Reference("Tariff", create_only=True)
    BillingDay = Integer(create_only=True)
    RenewalDate = DateTime(create_only=True)
    TeamIds = Computed("integer[]", value=())
    TeamName = Computed("string")
    TariffName = Computed("string")
    CoworkerContractIds = Computed("integer[]", value=())
    NextTariffId = Computed("integer")
