"""The settings of the module `throttle`."""

from pydantic import BaseModel, Field


class ThrottleSettings(BaseModel):
    throttle_scale: float = Field(
        default=1.0, gt=0, description="multiplies all limits on attempts; for load tests"
    )
    throttle_account_and_address: int = Field(
        default=8,
        ge=1,
        description="failed sign-ins to one account from one address, in 15 minutes",
    )
    throttle_account: int = Field(
        default=15,
        ge=1,
        description="failed sign-ins to one account from all unknown devices, in 15 minutes",
    )
    throttle_address: int = Field(
        default=60, ge=1, description="failed sign-ins from one address, in 5 minutes"
    )
    throttle_device: int = Field(
        default=15, ge=1, description="failed sign-ins from one known device, in 15 minutes"
    )
    throttle_devices: int = Field(
        default=45,
        ge=1,
        description="failed sign-ins to one account from all its known devices, in 15 minutes",
    )
    throttle_sign_ups: int = Field(
        default=30, ge=1, description="registrations from one address, in 10 minutes"
    )
    throttle_links: int = Field(
        default=60,
        ge=1,
        description="tokens of links, and requests for an email, from one address, in 5 minutes",
    )
    throttle_refreshes: int = Field(
        default=300, ge=1, description="unknown refresh tokens from one address, in 5 minutes"
    )
    throttle_passwords: int = Field(
        default=15,
        ge=1,
        description="wrong passwords that should confirm a change of one account, in 15 minutes",
    )
    throttle_mails: int = Field(
        default=3, ge=1, description="emails of one kind to one address, per hour"
    )
    throttle_email_changes: int = Field(
        default=5, ge=1, description="requests of one account for another email address, per day"
    )
    throttle_invitations: int = Field(
        default=300, ge=1, description="invitations by one administrator, per hour"
    )
    throttle_profiles: int = Field(default=60, ge=1, description="changes of one profile, per hour")
    throttle_deletions: int = Field(
        default=300, ge=1, description="accounts deleted by one administrator, per hour"
    )
    throttle_exports: int = Field(
        default=20, ge=1, description="copies of personal data made for one user, per hour"
    )
