"""Declares `Team`, served at `/api/spaces/teams`."""

from __future__ import annotations

from creditdesk.schema.entity import Entity
from creditdesk.schema.fields import Boolean, Collection, Embed, Integer, Number, Reference, Text


class Team(Entity, area="spaces", plural="teams", label="Name", scope="BusinessId"):
    """Customers that belong together and may share credit."""

    Business = Reference("Business", required=True, embeds=("Name",))
    Name = Text(required=True)
    Description = Text()
    TunnelPrivateGroupId = Text()
    TeamMembers = Collection("Coworker")
    TeamAdministrators = Collection("Coworker")
    CreateSingleInvoiceForTeam = Boolean(nullable=False)
    UseSpecialPrices = Boolean(nullable=False)
    PayingMember = Reference(
        "Coworker",
        embeds=("FullName", Embed("CoworkerType", as_text=True), "BillingName", "CompanyName"),
    )
    DefaultMemberTariff = Reference("Tariff", embeds=("Name",))
    MaxTeamMemberCount = Number()
    TransferCreditsToPayingMember = Boolean(nullable=False)
    ShareTimePasses = Boolean(nullable=False)
    ShareExtraServices = Boolean(nullable=False)
    ShareBookingCredit = Boolean(nullable=False)
    DiscountExtraServices = Number()
    DiscountTimePasses = Number()
    DiscountCharges = Number()
    DiscountTariffs = Number()
    ProfileSummary = Text()
    ProfileTags = Text()
    ProfileWebsite = Text()
    GoogleMapsLink = Text()
    ProfileIsPublic = Boolean(nullable=False)
    HasCommunityGroup = Boolean(nullable=False)
    TeamLogoFileName = Text(read_only=True)
    NewTeamLogoUrl = Text(write_only=True)
    ClearTeamLogoFile = Boolean(write_only=True)
    TeamImage1FileName = Text(read_only=True)
    NewTeamImage1Url = Text(write_only=True)
    ClearTeamImage1File = Boolean(write_only=True)
    TeamImage2FileName = Text(read_only=True)
    NewTeamImage2Url = Text(write_only=True)
    ClearTeamImage2File = Boolean(write_only=True)
    TeamImage3FileName = Text(read_only=True)
    NewTeamImage3Url = Text(write_only=True)
    ClearTeamImage3File = Boolean(write_only=True)
    Twitter = Text()
    Facebook = Text()
    Linkedin = Text()
    Skype = Text()
    Telegram = Text()
    Github = Text()
    Pinterest = Text()
    Flickr = Text()
    Instagram = Text()
    Vimeo = Text()
    Tumblr = Text()
    Blogger = Text()
    CoworkerIds = Text(read_only=True)
    CoworkerFullNames = Text(read_only=True)
    CoworkerBillingNames = Text(read_only=True)
    ActiveContracts = Integer(read_only=True, nullable=False)
    AvgChurnProbability = Number(read_only=True)
    EngagementLevel = Text(read_only=True)
    DisableAttendanceDashboard = Boolean(nullable=False)
    ExtraServices = Collection("ExtraService")
