"""Standard Webhooks signatures. Source: standardwebhooks.com, specification 1.0."""

import base64
import binascii
import hashlib
import hmac

from app.endpoints import ConfigurationError
from app.settings import Settings

PREFIX = "whsec_"
KEY_BYTES = range(24, 65)


def key_of(settings: Settings) -> bytes | None:
    """None where callbacks are not signed. Raises ConfigurationError that says which form the
    secret has."""
    if settings.webhook_secret is None:
        return None
    secret = settings.webhook_secret.get_secret_value()
    try:
        key = base64.b64decode(secret.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not secret.startswith(PREFIX) or len(key) not in KEY_BYTES:
        raise ConfigurationError(
            f"VMCLONE_WEBHOOK_SECRET must be {PREFIX} and the base64 of 24 to 64 random bytes, for "
            "example of: openssl rand -base64 32"
        )
    return key


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """The three headers."""
    signed = f"{message_id}.{timestamp_s}.".encode() + body
    digest = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp_s),
        "webhook-signature": f"v1,{digest}",
    }
