"""Who may read the views.

A database user that may not create roles makes none: docs/reporting.md says what an administrator
then runs. The views read the tables with their owner's rights, so the role needs no table.
"""

SCHEMA_COMMENT = "What dashboards may rely on: columns are only added; a change makes reporting_v2"

GRANT = """
DO $$
BEGIN
    IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vmclone_reporting') THEN
        CREATE ROLE vmclone_reporting NOLOGIN;
        ALTER ROLE vmclone_reporting SET default_transaction_read_only = on;
        ALTER ROLE vmclone_reporting SET statement_timeout = '5s';
        ALTER ROLE vmclone_reporting SET idle_in_transaction_session_timeout = '5s';
    END IF;
EXCEPTION
    WHEN insufficient_privilege THEN
        RAISE NOTICE 'no role vmclone_reporting was made, see docs/reporting.md';
    -- Another database of this server is migrated at the same moment.
    WHEN duplicate_object OR unique_violation THEN NULL;
END $$;
DO $$
BEGIN
    IF EXISTS (SELECT 1 FROM pg_roles WHERE rolname = 'vmclone_reporting') THEN
        GRANT USAGE ON SCHEMA reporting_v1 TO vmclone_reporting;
        GRANT SELECT ON ALL TABLES IN SCHEMA reporting_v1 TO vmclone_reporting;
    END IF;
END $$;
"""
