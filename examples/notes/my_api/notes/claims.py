"""What access tokens say beside the claims of Portico."""

from app.users.models import UserRow


def claims(user: UserRow) -> dict[str, object]:
    return {"email_verified": user.email_verified}
