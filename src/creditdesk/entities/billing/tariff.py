"""Declares `Tariff`, served at `/api/billing/tariffs`."""

from __future__ import annotations

from creditdesk.entities.enums import (
    eIdentityCheckProvider,
    eIdentityCheckRepeatPattern,
    eTariffBookingDueDateStrategy,
    eTariffType,
)
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    Collection,
    Enum,
    Integer,
    Money,
    Number,
    Reference,
    Text,
)


class Tariff(
    Entity,
    area="billing",
    plural="tariffs",
    order="Name",
    label="Name",
    title="{Name} ({CurrencyCode} {Price})",
    scope="BusinessId",
):
    """A plan that customers subscribe to."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    SystemTariffType = Enum(eTariffType, required=True)
    Price = Money(required=True)
    DefaultInvoicingDay = Integer()
    Visible = Boolean(nullable=False)
    AvailableToAi = Boolean(nullable=False)
    NotesForAi = Text()
    ShowPriceForAi = Boolean(nullable=False)
    PriceForAi = Number()
    UseTimePasses = Boolean(nullable=False)
    Description = Text()
    InvoiceLineDisplayAs = Text()
    SignUpFee = Money()
    Currency = Reference("Currency", required=True, embeds=("Code",))
    TaxRate = Reference("TaxRate", is_local=False)
    ReducedTaxRate = Reference("ReducedTaxRate", is_local=False)
    ExemptTaxRate = Reference("ExemptTaxRate", is_local=False)
    FinancialAccount = Reference("FinancialAccount", is_local=False)
    TermsAndConditions = Text()
    ContractDocumentFileName = Text(read_only=True)
    NewContractDocumentUrl = Text(write_only=True)
    ClearContractDocumentFile = Boolean(write_only=True)
    CancellationPeriod = Integer(required=True)
    DisplayOrder = Integer(default=0, nullable=False)
    GroupName = Text()
    DisablePortalCancellations = Boolean(nullable=False)
    SubscribersLimit = Integer()
    CancellationLimitDays = Integer()
    DefaultContractTerm = Integer()
    CancelMemeberAccountAfter = Integer()
    CheckinPricePlanLimit = Integer()
    CheckinMonthLimit = Integer()
    CheckinWeekLimit = Integer()
    VisitorMonthLimit = Integer()
    VisitorWeekLimit = Integer()
    VisitorDayLimit = Integer()
    HoursPricePlanLimit = Integer()
    HoursMonthLimit = Integer()
    HoursWeekLimit = Integer()
    BookingMinuteWeekLimit = Integer()
    BookingMinuteMonthLimit = Integer()
    DiscountExtraServices = Number()
    DiscountTimePasses = Number()
    DiscountCharges = Number()
    InvoiceEvery = Integer(required=True)
    InvoiceEveryWeeks = Integer(required=True)
    AutoCancelAfter = Integer()
    AdvanceInvoiceCycles = Integer()
    ProrateDayOfMonth = Integer()
    ProrateDaysBefore = Integer()
    ProrateCancellations = Boolean(nullable=False)
    ChargeAndExtend = Integer()
    ExcludeFromInvoice = Boolean()
    AutoRaiseInvoices = Boolean(nullable=False)
    RaiseInvoiceEvery = Integer()
    RaiseInvoiceEveryWeeks = Integer()
    MinimumPrice = Money()
    MinimumPriceIncludeTimePasses = Boolean(nullable=False)
    MinimumPriceIncludeExtraServices = Boolean(nullable=False)
    MinimumPriceIncludeEvents = Boolean(nullable=False)
    Archived = Boolean(nullable=False)
    Starred = Boolean(nullable=False)
    KeepNewAccountsOnHold = Boolean(nullable=False)
    CanBePaused = Boolean(nullable=False)
    PauseYearlyLimit = Integer()
    PauseCyclesLimit = Integer()
    BookingDueDateStrategy = Enum(eTariffBookingDueDateStrategy, default=1, nullable=False)
    BookingDueDateDayOfMonth = Integer()
    TotalSignUpPrice = Money(read_only=True, nullable=False)
    TotalPrice = Money(read_only=True, nullable=False)
    IsVirtualOffice = Boolean(nullable=False)
    WaitForIdentityChecksToActivate = Boolean(nullable=False)
    RequestAddressIdentityCheck = Boolean(nullable=False)
    AddressIdentityCheckDescription = Text()
    AddressIdentityCheckProvider = Enum(eIdentityCheckProvider, default=1, nullable=False)
    KeepPausedIfAddressMismatch = Boolean(nullable=False)
    AddressIdentityCheckRepeatPattern = Enum(eIdentityCheckRepeatPattern, default=1, nullable=False)
    RequestIdentityCheck = Boolean(nullable=False)
    IdentityCheckProvider = Enum(eIdentityCheckProvider, default=1, nullable=False)
    IdentityCheckRepeatPattern = Enum(eIdentityCheckRepeatPattern, default=1, nullable=False)
    IdentityCheckDescription = Text()
    RequestAmlCheck = Boolean(nullable=False)
    AmlCheckOpenSanctionsEnabled = Boolean(nullable=False)
    AmlCheckPappersEnabled = Boolean(nullable=False)
    AmlCheckOpenSanctionsDataset = Text()
    AmlCheckScoreThreshold = Number()
    SendOnBoardingFormByEmail = Boolean(nullable=False)
    FormPage = Reference("FormPage", embeds=("Name",), is_local=False)
    ProductsStore = Collection("Product")
    ProductsForward = Collection("Product")
    ProductsRecycle = Collection("Product")
    ProductsShred = Collection("Product")
    ProductsScan = Collection("Product")
    ProductsReturn = Collection("Product")
    ProductsDeposit = Collection("Product")
    ProductsCollect = Collection("Product")
    DeliveryPreferencesMail = Collection("DeliveryHandlingPreference", is_local=False, delta_fields=False)
    DeliveryPreferencesParcels = Collection("DeliveryHandlingPreference", is_local=False, delta_fields=False)
    DeliveryPreferencesChecks = Collection("DeliveryHandlingPreference", is_local=False, delta_fields=False)
    DeliveryPreferencesPublicity = Collection("DeliveryHandlingPreference", is_local=False, delta_fields=False)
    DeliveryPreferencesOther = Collection("DeliveryHandlingPreference", is_local=False, delta_fields=False)
    MaximumDeliveryStorageDays = Integer()
    MaximumCompanyAliases = Integer()
    MaximumRecipients = Integer()
    MaximumAddresses = Integer()
    TransferProductsToContract = Boolean(nullable=False)
