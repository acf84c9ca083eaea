"""Who calls, and what runs for whom: accounts, sessions, long jobs."""

from app.zstack.resources.resource import Resource, one

ACCOUNT = Resource(
    name="Account",
    java="org.zstack.header.identity.AccountInventory",
    source="accounts",
    path="/accounts",
    fields={
        "uuid": "uuid",
        "name": "name",
        "description": "description",
        "type": "type",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
)
USER = Resource(
    name="User",
    java="org.zstack.header.identity.UserInventory",
    source="users",
    path="/accounts/users",
    fields={
        "uuid": "uuid",
        "accountUuid": "account_uuid",
        "name": "name",
        "description": "description",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"account": one("Account", "account_uuid")},
)
ACCESS_KEY = Resource(
    name="AccessKey",
    java="org.zstack.header.identity.AccessKeyInventory",
    source="access_keys",
    path="/accesskeys",
    fields={
        "uuid": "uuid",
        "accountUuid": "account_uuid",
        "userUuid": "user_uuid",
        "AccessKeyID": "access_key_id",
        "description": "description",
        "state": "state",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"account": one("Account", "account_uuid")},
)
QUOTA = Resource(
    name="Quota",
    java="org.zstack.header.identity.QuotaInventory",
    source="quotas",
    path="/accounts/quotas",
    fields={
        "uuid": "uuid",
        "name": "name",
        "identityUuid": "account_uuid",
        "identityType": "identity_type",
        "value": "value",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
    },
    relations={"account": one("Account", "account_uuid")},
)
SHARED_RESOURCE = Resource(
    name="SharedResource",
    java="org.zstack.header.identity.SharedResourceInventory",
    source="shared_resources",
    path="/accounts/resources",
    fields={
        "uuid": "uuid",
        "ownerAccountUuid": "owner_account_uuid",
        "receiverAccountUuid": "receiver_account_uuid",
        "toPublic": "to_public",
        "resourceType": "resource_type",
        "resourceUuid": "resource_uuid",
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
LONG_JOB = Resource(
    name="LongJob",
    java="org.zstack.header.longjob.LongJobInventory",
    source="long_jobs",
    path="/longjobs",
    fields={
        "uuid": "uuid",
        "name": "name",
        "description": "description",
        "apiId": "api_id",
        "jobName": "job_name",
        "jobData": "job_data",
        "jobResult": "job_result",
        "state": "state",
        "targetResourceUuid": "target_resource_uuid",
        "createDate": "created_at",
        "lastOpDate": "last_op_at",
        "executeTime": "execute_time",
    },
)
