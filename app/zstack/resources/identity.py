"""Who calls, and what runs for whom: accounts, sessions, long jobs."""

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
