"""Callbacks are signed as Standard Webhooks says, so that its libraries verify them."""

import base64
import hashlib
import hmac

import pytest
from pydantic import SecretStr

from app.endpoints import ConfigurationError
from app.settings import Settings
from workers.webhooks.signature import key_of, sign


def settings(secret: str | None) -> Settings:
    return Settings(webhook_secret=SecretStr(secret) if secret is not None else None)


def test_the_signature_is_that_of_the_published_example() -> None:
    # Source: the examples that Standard Webhooks' own libraries are tested with.
    key = key_of(settings("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    assert key is not None
    headers = sign(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_the_signature_covers_id_time_and_body() -> None:
    key = b"k" * 24
    expected = hmac.new(key, b"id.7.body", hashlib.sha256).digest()
    assert sign(key, "id", 7, b"body")["webhook-signature"] == (
        "v1," + base64.b64encode(expected).decode()
    )


def test_without_a_secret_nothing_is_signed() -> None:
    assert key_of(settings(None)) is None


@pytest.mark.parametrize("secret", ["", "secret", "whsec_", "whsec_!!", "whsec_c2hvcnQ="])
def test_a_secret_of_another_form_is_refused(secret: str) -> None:
    with pytest.raises(ConfigurationError, match="VMCLONE_WEBHOOK_SECRET must be whsec_"):
        key_of(settings(secret))
