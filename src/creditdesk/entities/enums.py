"""The enumerations of the API; imitated ones keep their names there (`e…`)."""

from enum import IntEnum


class eBookingCancellationReason(IntEnum):
    """Values of `eBookingCancellationReason`."""

    Unknown = 0
    NoLongerNeeded = 1
    TooExpensive = 2
    RebookedForADifferentTime = 4
    FailedToPayUpfront = 5
    NotCheckedIn = 8


class eBookingRepeatCycle(IntEnum):
    """Values of `eBookingRepeatCycle`."""

    Daily = 1
    Weekly = 2
    Monthly = 3
    Yearly = 4
    FirstOfMonth = 5
    SecondOfMonth = 6
    ThirdOfMonth = 7
    LastOfMonth = 8
    FourthOfMonth = 9


class eCalendarEventRepeatCycle(IntEnum):
    """Values of `eCalendarEventRepeatCycle`."""

    Daily = 1
    Weekly = 2
    Monthly = 3
    Yearly = 4
    FirstOfMonth = 5
    SecondOfMonth = 6
    ThirdOfMonth = 7
    LastOfMonth = 8
    FourthOfMonth = 9


class eCancellationFeeType(IntEnum):
    """Values of `eCancellationFeeType`."""

    Absolute = 1
    Percentage = 2


class eCancellationReason(IntEnum):
    """Values of `eCancellationReason`."""

    PriceTooHigh = 1
    NewJobRelocation = 2
    MovedToOtherSpace = 3
    ChangeWorkEnvironment = 4
    LackCommunityInterations = 5
    PoorSpaceCondition = 6
    OtherMembers = 7
    Rellocated = 8
    BusinessExpansion = 9
    Pause = 10
    Renewed = 11
    Upgraded = 12
    Downgraded = 13
    Covid19 = 19
    Other = 99


class eChargePeriod(IntEnum):
    """Values of `eChargePeriod`."""

    Minutes = 1
    Days = 2
    Weeks = 3
    Months = 4
    Uses = 5
    FourWeekMonths = 6


class eCoworkerAttendance(IntEnum):
    """Values of `eCoworkerAttendance`."""

    WorkingFromOffice = 1
    WorkingFromHome = 2
    WorkingFromAbroad = 3
    NotWorking = 4
    Undefined = 5


class eCoworkerRecordType(IntEnum):
    """Values of `eCoworkerRecordType`."""

    Individual = 1
    Company = 2


class eCoworkerTaxRateType(IntEnum):
    """Values of `eCoworkerTaxRateType`."""

    Default = 1
    Reduced = 2
    Exempt = 3


class eDeliveryHandlingPreference(IntEnum):
    """Values of `eDeliveryHandlingPreference`."""

    StoreForCollection = 1
    Forward = 2
    OpenScanForward = 3
    OpenScanRecycle = 4
    OpenScanShred = 5
    OpenScanStoreForCollection = 6
    Recycle = 7
    ReturnToSender = 8
    Shred = 9
    DepositCheck = 10
    Unknown = 11


class eFloorUnit(IntEnum):
    """Values of `eFloorUnit`."""

    SqFt = 1
    SqMt = 2


class eGender(IntEnum):
    """Values of `eGender`."""

    None_ = 0
    NotSet = 1
    Male = 2
    Female = 3
    Other = 4
    RatherNotSay = 5


class eHelpItemFlag(IntEnum):
    """Values of `eHelpItemFlag`."""

    None_ = 0
    WelcomePage = 1
    GridPage = 2
    EditPage = 4
    SettingsPage = 8
    HelpPage = 16


class eIdentityCheckProvider(IntEnum):
    """Values of `eIdentityCheckProvider`."""

    Manual = 1
    StripeIdentity = 2


class eIdentityCheckRepeatPattern(IntEnum):
    """Values of `eIdentityCheckRepeatPattern`."""

    Never = 1
    Every3Months = 2
    Every6Months = 3
    Every12Months = 4
    Every24Months = 5


class eLanguage(IntEnum):
    """Values of `eLanguage`."""

    EnglishUK = 3
    EnglishUS = 1
    Spanish = 2


class eLastMinuteDiscountType(IntEnum):
    """Values of `eLastMinuteDiscountType`."""

    Disabled = 1
    Fixed = 2
    Gradual = 3


class ePassportAccess(IntEnum):
    """Values of `ePassportAccess`."""

    Everyone = 1
    RegisteredUsers = 2
    RegisteredWithMySpaceUsers = 3
    NoOne = 4


class eProductType(IntEnum):
    """Values of `eProductType`."""

    None_ = 0
    DayPass = 1
    CreditBundle = 2
    Stationery = 3
    BookingFeature = 4
    BookingProducts = 5
    Lockers = 6
    Equipment = 7
    EventServices = 8
    AdminServices = 9
    FoodAndBeverage = 10
    Other = 99


class eRecurrentChargePattern(IntEnum):
    """Values of `eRecurrentChargePattern`."""

    PricePlan = 1
    Day = 2
    Week = 3
    Month = 4
    Year = 5
    LastDayOfMonth = 6


class eRecurrentProductOptions(IntEnum):
    """Values of `eRecurrentProductOptions`."""

    None_ = 0
    RecurrentOrOneOff = 1
    OnlyRecurrent = 2
    OnlyOneOff = 3


class eRegularPaymentProvider(IntEnum):
    """Values of `eRegularPaymentProvider`."""

    None_ = 0
    MultiGateway = 1
    Stripe = 2
    Forte = 3
    AuthorizeNetSubscription = 4
    PaypalStandardSubscription = 5
    PayPalAdaptive = 6
    EPay = 7
    Braintree = 8
    EziDebit = 9
    LiqPay = 10
    StripeACH = 11
    GoCardless = 12
    StripeBACS = 13
    CreditNote = 94
    GiftCard = 95
    BankTransfer = 96
    Cash = 97
    Check = 98
    Other = 99


class eRepeatedBookingUpdateAction(IntEnum):
    """Values of `eRepeatedBookingUpdateAction`."""

    UpdateThisBookingOnly = 1
    UpdateFutureBookingsOnly = 2
    UpdateAllBookings = 3
    UpdateNotChargedBookings = 4
    DeleteAllBookings = 5
    DeleteBookingsAfterThis = 6
    DeleteNotChargedBookings = 7
    RevertAllCharges = 8


class eRepeatedCalendarEventUpdateAction(IntEnum):
    """Values of `eRepeatedCalendarEventUpdateAction`."""

    UpdateThisEventOnly = 1
    UpdateFutureEventsOnly = 2
    UpdateAllEvents = 3
    DeleteAllEvents = 4
    DeleteEventsAfterThis = 5
    UpdateEventProducts = 6


class eResourceType(IntEnum):
    """Values of `eResourceType`."""

    MeetingRoom = 1
    HotDesk = 2
    PrivateOffice = 3
    EventSpace = 4
    Lab = 5
    Kitchen = 6
    TreatmentRoom = 7
    StorageUnit = 9
    Machine = 10
    DayPass = 11
    PhoneBooth = 12
    Other = 99


class eStorecoveInvoiceStatus(IntEnum):
    """Values of `eStorecoveInvoiceStatus`."""

    None_ = 1
    TransferFailed = 2
    Processing = 3
    ProcessingFailed = 4
    Processed = 5


class eTariffBookingDueDateStrategy(IntEnum):
    """Values of `eTariffBookingDueDateStrategy`."""

    None_ = 0
    RenewalDate = 1
    BookingEndDate = 2
    BookingCreationDate = 3
    NextNthOfMonth = 4


class eTariffType(IntEnum):
    """Values of `eTariffType`."""

    None_ = 0
    FullTimePrivateOffice = 1
    PartTimePrivateOffice = 2
    FullTimeDedicatedDesk = 3
    PartTimeDedicatedDesk = 4
    FullTimeHotDesk = 5
    PartTimeHotDesk = 6
    FullTimeOther = 7
    PartTimeOther = 8
    Storage = 9
    VirtualOffice = 10
    Virtual = 11
    Other = 99


class PoolCapPeriod(IntEnum):
    """The calendar period that a pool cap covers."""

    Day = 1
    Week = 2
    Month = 3
    Quarter = 4
    Year = 5


class PoolCreditType(IntEnum):
    """The types of credit that a team may share."""

    Money = 1
    Time = 2
    Printing = 3


class eTimeSpanWeekMonth(IntEnum):
    """Values of `eTimeSpanWeekMonth`."""

    Week = 1
    CalendarMonth = 2
    TariffMonth = 3
    Year = 4
    Day = 5


class eVenueType(IntEnum):
    """Values of `eVenueType`."""

    BusinessCenter = 1
    CorporateOffice = 2
    CoworkingSpace = 3
    Hotel = 4
    InformalOffice = 5
    Studio = 6
    Other = 7
