"""Declares `User`, served at `/api/sys/users`."""

from __future__ import annotations

from creditdesk.entities.enums import eLanguage
from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Collection, DateTime, Enum, Integer, Reference, Text


class User(
    Entity,
    area="sys",
    plural="users",
    aliases=("/api/spaces/users",),
    label="FullName",
    scope="Businesses",
    cached_fields=("Email", "Active", "APIAccess", "IsAdmin", "MustResetPassword", "Businesses", "UserRoles"),
):
    """A person who signs in."""

    FullName = Text(required=True)
    Email = Text(required=True, exact=True)
    AccessToken = Text(write_only=True)
    Language = Enum(eLanguage, required=True)
    PreferredLanguage = Reference("PreferredLanguage", is_local=False)
    NewPassword = Text(write_only=True)
    Password = Text(write_only=True)
    PasswordSalt = Text(write_only=True)
    AvatarFileName = Text(read_only=True)
    NewAvatarUrl = Text(write_only=True)
    ClearAvatarFile = Boolean(write_only=True)
    Application = Reference("Application", is_local=False)
    PassportNumber = Text(read_only=True, exact=True)
    PassportCardNumber = Text(read_only=True, exact=True)
    EnablePassportAccess = Boolean(read_only=True, nullable=False)
    Active = Boolean(nullable=False)
    IsAdmin = Boolean(nullable=False)
    APIAccess = Boolean(nullable=False)
    Validated = Boolean(nullable=False)
    MustResetPassword = Boolean(nullable=False)
    LastAccess = DateTime()
    Devices = Text()
    OnNewEmail = Boolean(nullable=False)
    OnHelpDeskMsg = Boolean(nullable=False)
    OnNewWallPost = Boolean(nullable=False)
    OnNewMember = Boolean(nullable=False)
    OnProfileChanges = Boolean(nullable=False)
    OnNewBlogComment = Boolean(nullable=False)
    OnNewEventComment = Boolean(nullable=False)
    OnTariffChange = Boolean(nullable=False)
    OnBookingChange = Boolean(nullable=False)
    OnTentativeBookingChange = Boolean(nullable=False)
    OnPurchases = Boolean(nullable=False)
    OnVisitorRegistration = Boolean(nullable=False)
    OnPlaformInvoices = Boolean(nullable=False)
    ReceiveCommunityDigest = Boolean(nullable=False)
    ReceiveEveryMessage = Boolean(nullable=False)
    TwoFactorEnabled = Boolean(read_only=True, nullable=False)
    TwoFactorSecret = Text(write_only=True)
    EmailCallBackGuid = Text(write_only=True, exact=True)
    Businesses = Collection("Business")
    UserRoles = Collection("UserRole", inverse_of="Users")
    ChatRooms = Collection("ChatRooms", is_local=False)
    DefaultBusiness = Reference("Business", read_only=True)
    LastHelpVisited = Integer(nullable=False)
    LastReceivedCommunityThreadDate = DateTime()
    LastReceivedCommunityMessageDate = DateTime()
    NextCommunityDigest = DateTime()
    SupportTeamUserEmail = Text(exact=True)
    InvalidLoginAttempts = Integer(nullable=False)
    LastLoginAttempt = DateTime()
    OnAccessControlErrors = Boolean(nullable=False)
    NextHelpDeskMessageReminder = DateTime()
    OnMemberRemovedFromTeam = Boolean(nullable=False)
    OnVirtualOfficeTariffChange = Boolean(nullable=False)
    OnVirtualOfficeDeliveryPreferenceUpdate = Boolean(nullable=False)
    OnIdentityCheckUpdate = Boolean(nullable=False)
