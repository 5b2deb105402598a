-- A database as format 2 wrote it: what is in version_1.sql, and options, a pin, ids of tokens, where
-- answers came from and what is kept of them to be looked at. Never edit; see test_migrations.py.
CREATE TABLE conversations (
    number INTEGER PRIMARY KEY,     -- order of making; short where others refer to it
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,            -- made of the first question unless title_is_own
    title_is_own INTEGER NOT NULL,
    preview TEXT NOT NULL,
    created_at REAL NOT NULL,
    updated_at REAL NOT NULL,
    head_id TEXT,
    deleted_at REAL                 -- NULL while it is in the list
, options TEXT);
CREATE TABLE messages (
    number INTEGER PRIMARY KEY,     -- order of adding
    id TEXT NOT NULL UNIQUE,
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    parent_id TEXT,
    role TEXT NOT NULL,
    status TEXT NOT NULL,
    created_at REAL NOT NULL,
    stats TEXT,                     -- JSON object
    error TEXT NOT NULL,
    parts TEXT NOT NULL             -- JSON [{"kind": ..., "text": ...}]; last: it is long
, pinned INTEGER NOT NULL DEFAULT 0, provenance TEXT, token_ids BLOB);
CREATE INDEX messages_of_conversation ON messages (conversation);
CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming';
CREATE TABLE answer_journal (
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL, ids BLOB,
    PRIMARY KEY (message_id, seq)
) WITHOUT ROWID;
CREATE TABLE drafts (
    conversation_id TEXT NOT NULL PRIMARY KEY,  -- "" for a chat not yet begun
    text TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE answer_traces (
    message INTEGER PRIMARY KEY REFERENCES messages (number) ON DELETE CASCADE,
    pieces BLOB,                    -- numbers of prompt_pieces, unsigned 32-bit
    prompt_rest BLOB,               -- ids of the prompt after its pieces
    scores BLOB                     -- compressed JSON
);
CREATE TABLE prompt_pieces (
    number INTEGER PRIMARY KEY,
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    digest BLOB NOT NULL,           -- of ids, to find an equal piece
    ids BLOB NOT NULL,
    UNIQUE (conversation, digest)
);
INSERT INTO conversations VALUES
    (1, 'c1', 'Why is the sky blue?', 0, 'Because of scattering.', 100.0, 104.5, 'm3', NULL,
     '{"policy":"keep_first","values":{"temperature":0.5,"thinking":false,"system_prompt":"简短"}}'),
    (2, 'c2', '蓝天', 1, 'again', 200.0, 201.0, 'm5', 9e12, NULL);
INSERT INTO messages (number, id, conversation, parent_id, role, status, created_at, stats,
    error, parts, pinned, provenance, token_ids) VALUES
    (1, 'm1', 1, NULL, 'user', 'complete', 101.0, NULL, '',
     '[{"kind":"text","text":"Why is the sky blue?"}]', 1, NULL, NULL),
    (2, 'm2', 1, 'm1', 'assistant', 'failed', 102.0, '{"model":"Qwen3-4B"}', 'Out of memory.',
     '[]', 0, NULL, NULL),
    (3, 'm3', 1, 'm1', 'assistant', 'complete', 103.0,
     '{"model":"Qwen3-4B","prompt_tokens":9,"reused_tokens":4,"reasoning_tokens":3,"answer_tokens":5,"first_token_seconds":0.25,"prefill_seconds":0.125,"decode_seconds":1.5}',
     '',
     '[{"kind":"reasoning","text":"Rayleigh…"},{"kind":"text","text":"Because of scattering."}]', 0,
     '{"fingerprint":"f1","template":"t1","family":"qwen3","precision":"BF16","device":"CPU","engine":"torch 2.13.0, transformers 5.23.0","thinking":true,"sampling":[["temperature",0.5],["top_k",20]],"seed":7,"thinking_budget":64,"stop_strings":["END"],"context_limit":4096,"unseen":[["m1","m3"],["m2"]],"stop_reason":"stop","peak_bytes":9000000000}',
     X'05000000745002000700000008000000'),
    (4, 'm4', 2, NULL, 'user', 'complete', 200.5, NULL, '',
     '[{"kind":"text","text":"again"}]', 0, NULL, NULL),
    (5, 'm5', 2, 'm4', 'assistant', 'streaming', 200.75, '{"model":"Qwen3-4B"}', '', '[]', 0,
     '{"seed":11}', X'03000000');
INSERT INTO answer_journal VALUES ('m5', 1, 'reasoning', '想', X'040000005b500200'), ('m5', 2, 'text', 'half', NULL);
INSERT INTO prompt_pieces VALUES (1, 1, X'0d6ba3f7', zeroblob(2048)), (2, 2, X'0d6ba3f7', zeroblob(2048));
INSERT INTO answer_traces VALUES
    (3, X'0100000001000000', X'110000005d500200',
     X'789c8b8e36d75150724a55d251d035d03332d55188461389050a5902459e4d5d0c1232d4338d8d05895900c592134b8ba10a0dc17a815200140113cd'),
    (5, X'02000000', X'', NULL);
INSERT INTO drafts VALUES ('', 'a new chat'), ('c1', '还有呢？');
PRAGMA application_id = 1364673620;
PRAGMA user_version = 2;
