"""The tables of the records, as aerich writes them, and the clock that their defaults read."""

from tortoise import BaseDBAsyncClient

RUN_IN_TRANSACTION = True


async def upgrade(db: BaseDBAsyncClient) -> str:
    return """
        CREATE FUNCTION relevo_now() RETURNS timestamptz
            LANGUAGE sql STABLE PARALLEL SAFE AS 'SELECT clock_timestamp()';
        COMMENT ON FUNCTION relevo_now() IS 'The only clock; stable, so that indexes on times serve it. Tests replace its body.';
        CREATE TABLE IF NOT EXISTS "agents" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "name" VARCHAR(200) NOT NULL,
    "email" VARCHAR(254) NOT NULL,
    "password_hash" VARCHAR(200),
    "role" VARCHAR(16) NOT NULL,
    "is_active" BOOL NOT NULL,
    "availability" VARCHAR(16) NOT NULL,
    "accepts_new" BOOL NOT NULL,
    "is_connected" BOOL NOT NULL,
    "capacity" INT NOT NULL,
    "load" INT NOT NULL,
    "last_assigned_at" TIMESTAMPTZ,
    "idle_period_days" SMALLINT
);
COMMENT ON COLUMN "agents"."role" IS 'AGENT: AGENT\nOPERATOR: OPERATOR\nADMIN: ADMIN\nINTEGRATION: INTEGRATION';
COMMENT ON COLUMN "agents"."availability" IS 'ONLINE: ONLINE\nAWAY: AWAY\nOFFLINE: OFFLINE';
COMMENT ON COLUMN "agents"."idle_period_days" IS 'NEVER: 0\nONE_DAY: 1\nTHREE_DAYS: 3\nSEVEN_DAYS: 7\nFOURTEEN_DAYS: 14\nTHIRTY_DAYS: 30';
COMMENT ON TABLE "agents" IS 'A person who signs in and holds conversations.';
CREATE TABLE IF NOT EXISTS "closing_reasons" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "name" VARCHAR(200) NOT NULL,
    "is_active" BOOL NOT NULL
);
COMMENT ON TABLE "closing_reasons" IS 'A reason that a workspace offers for closing.';
CREATE TABLE IF NOT EXISTS "contacts" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "name" VARCHAR(200) NOT NULL,
    "phone" VARCHAR(40),
    "email" VARCHAR(254)
);
COMMENT ON TABLE "contacts" IS 'A customer.';
CREATE TABLE IF NOT EXISTS "teams" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "line" VARCHAR(16) NOT NULL,
    "name" VARCHAR(200) NOT NULL,
    "is_todos" BOOL NOT NULL,
    "is_active" BOOL NOT NULL,
    "priority" SMALLINT NOT NULL,
    "distribution" VARCHAR(16) NOT NULL,
    "online_only" BOOL NOT NULL,
    "max_open" INT,
    "idle_period_days" SMALLINT,
    "round_robin_position" INT NOT NULL,
    "parent_id" UUID
);
COMMENT ON COLUMN "teams"."line" IS 'SALES: SALES\nSUPPORT: SUPPORT';
COMMENT ON COLUMN "teams"."distribution" IS 'MANUAL: MANUAL\nROUND_ROBIN: ROUND_ROBIN\nLEAST_OPEN: LEAST_OPEN';
COMMENT ON COLUMN "teams"."idle_period_days" IS 'NEVER: 0\nONE_DAY: 1\nTHREE_DAYS: 3\nSEVEN_DAYS: 7\nFOURTEEN_DAYS: 14\nTHIRTY_DAYS: 30';
COMMENT ON TABLE "teams" IS 'A sales group, a support department, or the Todos of a line.';
CREATE TABLE IF NOT EXISTS "channels" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "kind" VARCHAR(32) NOT NULL,
    "name" VARCHAR(200) NOT NULL,
    "status" VARCHAR(16) NOT NULL,
    "default_line" VARCHAR(16) NOT NULL,
    "sales_agent_id" UUID,
    "sales_team_id" UUID,
    "support_team_id" UUID
);
COMMENT ON COLUMN "channels"."kind" IS 'WHATSAPP: WHATSAPP\nWEBCHAT: WEBCHAT\nMESSENGER: MESSENGER\nINSTAGRAM: INSTAGRAM\nRCS: RCS\nTELEGRAM: TELEGRAM\nEMAIL: EMAIL\nSMS: SMS\nGOOGLE_BUSINESS: GOOGLE_BUSINESS';
COMMENT ON COLUMN "channels"."status" IS 'CONNECTED: CONNECTED\nPENDING: PENDING\nDISCONNECTED: DISCONNECTED';
COMMENT ON COLUMN "channels"."default_line" IS 'SALES: SALES\nSUPPORT: SUPPORT';
COMMENT ON TABLE "channels" IS 'One connected account: one WhatsApp number, one page, one webchat.';
CREATE TABLE IF NOT EXISTS "contact_identities" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "external_id" VARCHAR(200) NOT NULL,
    "channel_id" UUID NOT NULL,
    "contact_id" UUID NOT NULL
);
COMMENT ON TABLE "contact_identities" IS 'How a channel knows a contact: a number, a page-scoped id, a visitor.';
CREATE TABLE IF NOT EXISTS "conversations" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "line" VARCHAR(16) NOT NULL,
    "status" VARCHAR(16) NOT NULL,
    "queued_at" TIMESTAMPTZ,
    "decision" JSONB,
    "last_message_id" UUID,
    "opened_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "last_activity_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "closed_at" TIMESTAMPTZ,
    "version" INT NOT NULL,
    "assignee_id" UUID,
    "channel_id" UUID NOT NULL,
    "contact_id" UUID NOT NULL,
    "team_id" UUID
);
COMMENT ON COLUMN "conversations"."line" IS 'SALES: SALES\nSUPPORT: SUPPORT';
COMMENT ON COLUMN "conversations"."status" IS 'BOT: BOT\nQUEUED: QUEUED\nASSIGNED: ASSIGNED\nSNOOZED: SNOOZED\nCLOSED: CLOSED';
COMMENT ON TABLE "conversations" IS 'One exchange with a contact on a channel.';
CREATE TABLE IF NOT EXISTS "assignments" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "rule" VARCHAR(32) NOT NULL,
    "decision" JSONB NOT NULL,
    "started_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "ended_at" TIMESTAMPTZ,
    "ending" VARCHAR(16),
    "agent_id" UUID NOT NULL,
    "conversation_id" UUID NOT NULL,
    "team_id" UUID
);
COMMENT ON COLUMN "assignments"."rule" IS 'CHANNEL_TARGET: CHANNEL_TARGET\nTODOS: TODOS\nPICKED: PICKED\nASSIGNED_BY_HAND: ASSIGNED_BY_HAND\nTRANSFERRED: TRANSFERRED\nUNASSIGNED: UNASSIGNED\nREOPENED: REOPENED';
COMMENT ON COLUMN "assignments"."ending" IS 'CLOSED: CLOSED\nTRANSFERRED: TRANSFERRED\nUNASSIGNED: UNASSIGNED\nREASSIGNED: REASSIGNED';
COMMENT ON TABLE "assignments" IS 'An agent''s hold on a conversation; open while `ended_at` is empty.';
CREATE TABLE IF NOT EXISTS "closures" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "cause" VARCHAR(16) NOT NULL,
    "closed_by_id" UUID,
    "summary" TEXT,
    "closed_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "agent_id" UUID,
    "conversation_id" UUID NOT NULL,
    "reason_id" UUID,
    "team_id" UUID
);
COMMENT ON COLUMN "closures"."cause" IS 'AGENT: AGENT\nINTEGRATION: INTEGRATION\nINACTIVE: INACTIVE';
COMMENT ON TABLE "closures" IS 'One closing of a conversation; a reopened one has several.';
CREATE TABLE IF NOT EXISTS "memberships" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "position" INT NOT NULL,
    "agent_id" UUID NOT NULL,
    "team_id" UUID NOT NULL
);
COMMENT ON TABLE "memberships" IS 'An agent''s place in the order of a team''s members.';
CREATE TABLE IF NOT EXISTS "messages" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "direction" VARCHAR(16) NOT NULL,
    "external_id" VARCHAR(200),
    "text" TEXT NOT NULL,
    "author_agent_id" UUID,
    "channel_id" UUID NOT NULL,
    "conversation_id" UUID NOT NULL
);
COMMENT ON COLUMN "messages"."direction" IS 'INBOUND: INBOUND\nOUTBOUND: OUTBOUND\nNOTE: NOTE';
COMMENT ON TABLE "messages" IS 'One thing that was said in a conversation; immutable.';
CREATE TABLE IF NOT EXISTS "tokens" (
    "id" UUID NOT NULL PRIMARY KEY,
    "workspace_id" UUID NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now(),
    "kind" VARCHAR(16) NOT NULL,
    "name" VARCHAR(200) NOT NULL,
    "scopes" JSONB NOT NULL,
    "digest" BYTEA NOT NULL,
    "expires_at" TIMESTAMPTZ,
    "revoked_at" TIMESTAMPTZ,
    "agent_id" UUID
);
COMMENT ON COLUMN "tokens"."kind" IS 'SESSION: SESSION\nINTEGRATION: INTEGRATION';
COMMENT ON TABLE "tokens" IS 'A bearer token, known by its SHA-256 only: whoever reads the table cannot sign in.';
CREATE TABLE IF NOT EXISTS "workspaces" (
    "id" UUID NOT NULL PRIMARY KEY,
    "name" VARCHAR(200) NOT NULL,
    "idle_period_days" SMALLINT NOT NULL,
    "closing_reason_required" BOOL NOT NULL,
    "transfers_to_unavailable" BOOL NOT NULL,
    "created_at" TIMESTAMPTZ NOT NULL DEFAULT relevo_now()
);
COMMENT ON COLUMN "workspaces"."idle_period_days" IS 'NEVER: 0\nONE_DAY: 1\nTHREE_DAYS: 3\nSEVEN_DAYS: 7\nFOURTEEN_DAYS: 14\nTHIRTY_DAYS: 30';
COMMENT ON TABLE "workspaces" IS 'A company with its own agents, teams, channels and log.';
CREATE TABLE IF NOT EXISTS "aerich" (
    "id" SERIAL NOT NULL PRIMARY KEY,
    "version" VARCHAR(255) NOT NULL,
    "app" VARCHAR(100) NOT NULL,
    "content" JSONB NOT NULL
);"""


async def downgrade(db: BaseDBAsyncClient) -> str:
    return """
        DROP TABLE assignments, closures, messages, conversations, contact_identities, contacts, memberships, channels, teams, tokens, closing_reasons, agents, workspaces;
        DROP FUNCTION relevo_now();"""


MODELS_STATE = (
    "eJztXW1zozgS/isqf5nZKu/U5GVmtnxXV4UTkvGtA1mbzGz2fMUqRompYMEAnkxqb//7tQ"
    "SYdwcTG+NEX2yQ1DJ+hFqtp1vSX525bRDLeyfdEep3euivDsVzAhfpjC7qYMeJk1mCj28s"
    "XhKzIjwJ33i+i6esoltseQSSDOJNXdPxTZuyshJyiOvZFD3MbOSZd9RDJkWYGmhmW4aHpj"
    "b9DgUwK++9Y3Ua9hQqNeldPfEFNb8tiO7bd8SfERcq+c9/IdmkBvlBvOjWuddvTWIZKQRM"
    "g1XA03X/0eFpV1eD0zNekj3ajT61rcWcxqWdR39m02XxxcI03jEZlgcwERf7xEjAQxeWFe"
    "IYJQVPDAm+uyDLRzXiBIPc4oXFQO7883ZBp+zPIv5L7OP4X+GjJYrpuqJq+ljWdL2TaxP2"
    "CBmcwyRAk7WnyVoXgPk7qDcGhKd22A+cfJZGb48+/sQhsD3/zuWZHK7O31wQ+zgQ5aDHKD"
    "/Y7r3n4CnR18M7K7dJ5KOEGPr4dY5AjWBrGdAxsFOXsL+sYz8P6ynk+OacFEOblswAa4Si"
    "76KLRgEef7NOg7u3b1xike+2Tu2Htz+9+Wk7eGuDC3msSReXrPq5532zOHySJrOcQ576mE"
    "l9GzSPDZowUJDLStDXgfYZsVv0h6rI2UZcltP+6LBnwguf/z0dG0mIouQoKdXq/DvX3icz"
    "7Ba3dVQ+08oAzx52nM4c/9AtQu/8Gdwevn+/omW/SCPemaBUprmUMOswyEv3KjLHprUOwE"
    "uBl4jwh+MqCH84LkeY5aURdrDngXI39Bn2ZusgnROshXg4yLYU8G280q5tlagMmS7mHOsB"
    "PBOmU5LDPJJt7uXuSOeyoq1p4wRCPcS/JlS9lEeSpo56KLqaUOn0YqBACfY1oQNFk88hZ6"
    "BCWuIma5FWabSDjxXa7CA7aMRNxrLSLWZ6OljZ5veCZuvb0CKYltioSblMk92A4LbaLDJc"
    "m7WV+qo6TA3b/YGWwfjqoi8D9hx6KGT6PBnaOwM4/g5KHN+YUOKxblfJ1tFgl1HPzoaDwN"
    "5Yp9OoCpOCTsK/oYt8la6hh8AndKGgSshM1L3zjoGnU+L4nk7Jw5pdIyMpOkf1zgFaBX6X"
    "kinDZW2FlBJtEPZlyt7iPsUw/S1USAPql8zsEiIZrM2A5tkG1Ifvt2Uc3bFH+Pnw4PjT8S"
    "9HH49/gSL8MZcpn1Y0RR5Ry8YFb3ApmlHx5pDcGyCx5+tgjpt3tBYDUSS/AR6iZbb9S+Id"
    "TMMiukNc0zZ0Az96hd3oaSOpqJpa3auZpu4o8hcZphHvwSBSZP2U2UcHE6p9Hsn8btxDRx"
    "M6hkJKePtpQs/Uq5EmL1MOjpnAYKRdRxLvKxpTQac9Ovz0cdlf2c2qrjq+kIbDoL8y3vv2"
    "PsHJsoQbPL1/wDCHzuXYh3ZZ2XzW/HCeTcEU33Hc2Z9hTxg5GHgvn5e5H+Lc7kofxLJcVU"
    "cERdxv8cbjrgNkw33KffAPZDuEORpMi6A/Cbw2TBH9iUwPkbnjPxY4JzZSpXBYtIJHFw4L"
    "4bAQDosGDAd38Qz2cdE0+1jDRIAeoCjyUNek0bms9VD6HsZ+9VSFUZ9/Tejl4ORX+bSHgu"
    "8Jlcbjwbkin+r9ax0EISebAjWMJGV8Jo9GTDBxM6FXSlS6h+LrCR3J6qXMU6OrOvzN0WEF"
    "/ubosJS/YVlpFWCQqekx3HIvxL/HqlLc+ZMy2a5vTn30P2SZ3tZmZLvRqgyNVAePQH17If"
    "2exftkqPazPZdV0M+AD53Mrad/05JC/+6T/o3M0HXbPCknpuYtb2H2V2uOsbF0i92pHdBx"
    "YzacBd/1hsQ4Pb5uiVuDTSvXnG4kZcRUIzvVSMzK18S1QFTAm4HXJ3i+JqwJkWfAuT+jyB"
    "No5si54nc3j/CZ7RLzjv5KHnNqPYNryLCdZKrbzxc2Tk08gIsflixZUb+FC4CABP41RUXS"
    "CQ/xyKveDcC8jKN+qfgmx5sqwLIOvwFctbCavVQMT6OaUItloO6GtgfjkVJidQo4+yiru4"
    "qwnwaFKrL1KiVoGSiA8HRqL6jfQzYkf51h35McBx5wfkPcLk904KGDqwdyAz/l59n6zVQp"
    "2PoWDJZdwdbvwIQWbP0r5BLuAdK6TEIk22q2/utnSRtLl5c9FF1N6Fe5Dx1Dg6TgYkIByL"
    "GsnDPX//KSBQ0DvOcj6YKFDIeXEzo6GfcQfEyoJg/lIDu6mlD5QhoMe4h/Tej4AsrCx4Se"
    "q+r5UNb7V+OBAr/QQ5mEdvD1YrXJdkPzoSf5i4JYmmodLpZuMNb4RFUU+UQLqbN1KLxIsI"
    "eWlxN6KSunA+W8h8KLCT0djBNFk3ftIOvCP6xbJq3t2MzW0WD7jaWhPF637bgQaC72BVrs"
    "6vJSHYG+DC/a0S4etoin16FS85KCoirCtgbtlxMUyGaQXTiO7fq1sM2LCnRXUqvx2yiYqa"
    "eYqVzPrUL6JTRpg5zqfkO8LrGa7PbiNX4S47ySbBnRatke/NMRwR6HIE+3pgp0V5KuQVHd"
    "5WUrb9kSFEf+DPsIoyUzhuzbW+J66NZ2UVhz0Y4ta0oLRrUFY2RXMKrNm3qCUX2NjKqg0L"
    "ZLoYm9EhpYltyStWTMFFq4pMxKYllP2kcL1rcrGUbcgxxYLmDM5NZ6YbB82HovYnCv8Qx7"
    "yCOQj60SZ3TtqoTJ1IqRXJhMwmQSJlMDJtMUL7zarpWlcJsNqMx+VWW7UbEcxk58kVlycN"
    "UOZwsbzKB33TyuG12dkROEddYdMJ9jt2DLF438KNmlJCHS4hUcG1Fk8u9aSoflVsUt9dhQ"
    "Vc6j4tmlcoVvco0RJikoBph9GmB2uN5mf3qbWG7TFngDhn1NYFNC4oUVC5jEAqZ2eyr3ZA"
    "FTO99gsX6pteuX8iPZJpRC1in+QvFNjeItC1ywqR/w53kyPszqriTjg0KVoxSmC8+358Qt"
    "ikFI5Qm6vAX2QVfQ5c2btYIuf41shogw2G6EgQMorQXwUuAl8LFpgI+r4HtcDu/xrg/caT"
    "W6Gztvpy3xGoGJNzBg6sV2pS83FZdFqpiMMPzz0mbVSI7P9gOLuQi2JED3oEi9IAaD1daD"
    "y2gjAMy3AfjZm9oOMZBpsJTvpmf6doHZubFahcHaCjtKGKzCYBUGaxMbFv7wiUuxVdibVg"
    "z8aTFhvlYzX8MBal2/XEpKKK68xzO0RNZ0diakBKhP+pEiFvH5LqSopv0EtpL3KPFqVeHi"
    "p/E2Xs+FN67pxcKbUoetI+JjB2nxFCvlQF05v4qPV682tWKR7eQHg+eOoAfTn8VToPCAlA"
    "C54pj4ypJiitQCXd0VU6QdWBpiivQKp0jP2Vyo+U2FagTA78WOQnu3O1eNhuirADt8TOhv"
    "V/IV23Ir+I6PpomPpIGGUlT1D5YUXkxoemf+djQcALaopTJTguLUizZryJ0eJbQ/7bqVk4"
    "T48a1z4nkwIVnT3isQFeG0aXSDlcA1tFdKUNh7+6TNggOR2X4Epv9Y+0DltLx4A/bpDWjN"
    "OrT90al718aMXCs0WUqPoE9INHcK/cGWmnLTp9CHB8iva4JkxIT5IfyFwl+4j6CKVXzC+9"
    "oS96Dwvu7e+ypW72159V5kOG0A2Be/2jRtY7YrYOCCsLhkb2Y6nYJwgURud1WwwHxZruoS"
    "Por4Itw3HnIstkOwyXYNJsh2DeIG2+KxFxKyw6oLVvrVqkIED7TA1OiK4IHmLWQRPPAaaS"
    "aozyzefKOUZ0qKNEc0bTOwetNckzii/YVM3l8OnCtm783Of1oK6eYnQOKw8M1ttrOruQ8P"
    "PegUTnyCrO7qWQ8vtEZ0tD9ju37z41Ee2Mbe2DTYtCW7B7g5ny/4rxRHSteqRUx8WqClu2"
    "Li07x1ISY+r3HiY5gumRbPfCqey5qsoNVhuwOlr14pp2xfcH4xoeqVFiZFVxMKNcg9xD6z"
    "g8puAnN3uPK3ZUxyAwt/fYAtj3L5RuJR+Ta/9xtRa9vYRhz00sx2ax0/XCAqfNMiJkXs2r"
    "1/8K6OpxC7Ije2K7IIr9hqeEVyyGqQD2vn2FaBDsuP8O1ixTjPW0CJRfxvOR/GGNTKW/jy"
    "A6/RnWsvHLYHWng2MzKIg11/DuB0ke1yh75mG7YXOPTZctaiPX+fV5mgxlowXHYFNbYDs0"
    "9QY6+QGhMbCrSA/hI7NW/9LGifjfV5jJ86Cnop1uBJ0MuUvToKWpy9vUPAHde03XCb5DTe"
    "4zm2rPLwroRcc+Fd77elSYLYrqPDTx+XYV3sZlVE1/hCGg7zgBom+62bxfOcRuk6mtPWnQ"
    "tJuZKGaxr2oVQPBd8TOmLOIn2k9gdKDyVuJnQoS2NNVy9lyIiv2zGY2pTZJTp8FXSHleon"
    "IykUUHUFxNqUbTORR7xU9yRFaumelrE+m44sNQ2L6A4BDW3oBn4sMF4A2qe1UFE1LYa7o8"
    "hf5BGMERMKMx79VLoGHTGh2ueRzO/AlD8CMx4KKeHtpwk9U69GmrxMOThmAoORdh1JvK+o"
    "mjY3gLj2ghq6a9+YVK8Rd10m/mIG6Y11Ewe767tWU0LCqbrSQRVgtQE2/4Uvmky9Uy2j8e"
    "17UrgFcJDRXUnksyKVmfwbAii4iAt1+dknFN08ItP30Piz9PPhh4+ImVc99DCzyXco6RJs"
    "eJyN57+IpphS20dslSQyaRG/v42fEKx/C3RQV7D+TQEtWP/XzfrfA6R1aY1Its3kc2csj8"
    "cw4PZQeDGhYDnK5yNJ46mJm3aQFsIDsF0PAD9jrWAKXb4nbCzxrB1h6/F38Yh9szAt36Te"
    "O/Z7uxi0t7JRrGHeEa9gxOmbFLuPxQ0Sy2SJuUc/aKg9e+1XMXMhjkvQAfP+QJFG18WxyP"
    "0C3PvXmizl4uwdE7JrjPZpSbGdZJtHdxcMnvtaNl1aUrRym1t5hzsP7E+r1qe9RAzrvi/p"
    "/hrN/TsFzFec2V3Ffi35g8oM2NSeO5g+BidXMVKK8VMcJK/LN6GCrzCw2kOYGsiy74port"
    "r1CC6rBYqlu4LLEnO9LUd7tcxx2oT77aW4Tdmm9fBTukuwB0C75NsCph0FamllIMeKWkQc"
    "3xpRHfCD1LslLouD1BcUf8dmgMh6zbGqGtEea7SHIOtfy0QvNzHZjQktwfA3nRXZz2HOSu"
    "MZx2WeMpzLG3bD5mxpxE2hNVswwIcm6fPM2NaHoZVbr6VnlZQbsOWHlbwIG/bDhyo27IcP"
    "5TYsy8tsG+E46yAcFn+B6B5UmiEcrJghHORnCGxb/kJ2p9wdlBBp3h+0G+5sY56fnQ5mf/"
    "8fCQKipg=="
)
