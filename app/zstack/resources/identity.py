"""Who calls, and who answers: accounts, sessions, management nodes."""

from app.zstack.resources.resource import Resource

ACCOUNT = Resource(
    name="Account",
    java="org.zstack.header.identity.AccountInventory",
    source="accounts",
    path="/accounts",
    fields={
        "uuid": "uuid",
        "name": "name",
        "type": "type",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
)
SESSION = Resource(
    name="Session",
    java="org.zstack.header.identity.SessionInventory",
    source="sessions",
    path="/accounts/sessions",
    fields={
        "uuid": "uuid",
        "accountUuid": "account_uuid",
        "userUuid": "user_uuid",
        "expiredDate": "expires_at",
        "createDate": "created_at",
    },
)
