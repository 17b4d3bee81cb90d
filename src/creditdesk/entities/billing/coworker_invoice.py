"""Declares `CoworkerInvoice`, served at `/api/billing/coworkerinvoices`."""

from __future__ import annotations

from creditdesk.entities.enums import eStorecoveInvoiceStatus
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import (
    Boolean,
    DateTime,
    Embed,
    Enum,
    Guid,
    Money,
    Number,
    Reference,
    Text,
)


class CoworkerInvoice(
    Entity,
    area="billing",
    plural="coworkerinvoices",
    verbs=("list", "get", "update"),
    order="InvoiceNumber",
    label="InvoiceNumber",
    scope="BusinessId",
    owner="CoworkerId",
):
    """An invoice to a customer."""

    Coworker = Reference(
        "Coworker",
        update_only=True,
        nullable=False,
        embeds=(
            "FullName",
            "RegularPaymentContractNumber",
            Embed("RegularPaymentProvider", as_text=True),
            "CardNumber",
            "GoCardlessContractNumber",
            "EnableGoCardlessPayments",
            "BillingEmail",
            "NotifyOnNewInvoice",
            "NotifyOnNewPayment",
            "NotifyOnFailedPayment",
            "DoNotProcessInvoicesAutomatically",
            "CompanyName",
            "TeamNames",
        ),
    )
    Business = Reference("Business", update_only=True, nullable=False, embeds=("Name",))
    InvoiceNumber = Text(update_only=True, exact=True)
    PaymentReference = Text(update_only=True)
    BillToName = Text(update_only=True)
    BillToAddress = Text(update_only=True)
    BillToCity = Text(update_only=True)
    BillToPostCode = Text(update_only=True, exact=True)
    BillToPhone = Text(update_only=True)
    BillToFax = Text(update_only=True)
    BillToState = Text(update_only=True)
    BillToCountry = Reference(
        "Country",
        update_only=True,
        nullable=False,
        embeds=("Name", "TwoDigitsCode"),
        is_local=False,
    )
    BillToBankAccount = Text(update_only=True)
    BillToTaxIDNumber = Text(update_only=True, exact=True)
    PurchaseOrder = Text(update_only=True)
    Description = Text(read_only=True)
    DiscountAmount = Money(read_only=True, nullable=False)
    DueDate = DateTime(update_only=True)
    InvoiceFromDate = DateTime(read_only=True)
    InvoiceToDate = DateTime(read_only=True)
    TotalAmount = Money(read_only=True, nullable=False)
    PaidAmount = Money(read_only=True)
    TransactionTotalAmount = Money(update_only=True)
    TransactionCurrency = Reference("Currency", update_only=True, embeds=("Code",))
    TransactionExchangeRate = Number(update_only=True)
    Currency = Reference("Currency", update_only=True, nullable=False, embeds=("Code",))
    TaxAmount = Money(read_only=True, nullable=False)
    Draft = Boolean(update_only=True, nullable=False)
    Void = Boolean(read_only=True, nullable=False)
    WaitingForInvoiceNumber = Boolean(read_only=True, nullable=False)
    Paid = Boolean(read_only=True, nullable=False)
    Sent = Boolean(read_only=True, nullable=False)
    SentOn = DateTime(read_only=True)
    PaidOn = DateTime(update_only=True)
    Refunded = Boolean(read_only=True, nullable=False)
    XeroInvoiceTransfered = Boolean(read_only=True, nullable=False)
    XeroPaymentTransfered = Boolean(read_only=True, nullable=False)
    QuickbooksInvoiceTransfered = Boolean(read_only=True, nullable=False)
    QuickbooksPaymentTransfered = Boolean(read_only=True, nullable=False)
    MoloniInvoiceTransferred = Boolean(read_only=True, nullable=False)
    MoloniPaymentTransferred = Boolean(read_only=True, nullable=False)
    StorecoveInvoiceStatus = Enum(eStorecoveInvoiceStatus, update_only=True, nullable=False)
    AutoTransferToStorecove = Boolean(read_only=True, nullable=False)
    StorecoveUniqueId = Guid(read_only=True)
    RefundedOn = DateTime(read_only=True)
    CreditNote = Boolean(read_only=True, nullable=False)
    OriginalInvoiceGuid = Text(read_only=True)
    ContractGuid = Text(read_only=True)
    CustomData = Text(read_only=True)
    GoCardlessReference = Text(read_only=True)
    SpreedlyToken = Text(read_only=True)
    LastPaymentAttempt = DateTime(read_only=True)
    Billed = Boolean(read_only=True, nullable=False)
    DoNotApplyCreditAutomatically = Boolean(update_only=True, nullable=False)
    CreatedOnLocal = DateTime(read_only=True)
    DueDateLocal = DateTime(read_only=True)
    InvoiceFromDateLocal = DateTime(read_only=True)
    InvoiceToDateLocal = DateTime(read_only=True)
    PaidOnLocal = DateTime(read_only=True)
    RefundedOnLocal = DateTime(read_only=True)
    LastPaymentAttemptLocal = DateTime(read_only=True)
    ReceivedAmount = Money(read_only=True)
    CreditedAmount = Money(read_only=True)
    RefundedAmount = Money(read_only=True)
    NexKioskTransactionId = Text(read_only=True)
    AutoTransferToXeroOrQuickBooks = Boolean(read_only=True, nullable=False)
