-- A database as format 1 wrote it: two conversations (one with a branch, one deleted), an answer
-- cut off in the middle with its journal, and a draft. Never edit; see test_migrations.py.
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
);
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
);
CREATE INDEX messages_of_conversation ON messages (conversation);
CREATE INDEX messages_streaming ON messages (id) WHERE status = 'streaming';
CREATE TABLE answer_journal (
    message_id TEXT NOT NULL REFERENCES messages (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    kind TEXT NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (message_id, seq)
) WITHOUT ROWID;
CREATE TABLE drafts (
    conversation_id TEXT NOT NULL PRIMARY KEY,  -- "" for a chat not yet begun
    text TEXT NOT NULL
) WITHOUT ROWID;
INSERT INTO conversations VALUES
    (1, 'c1', 'Why is the sky blue?', 0, 'Because of scattering.', 100.0, 104.5, 'm3', NULL),
    (2, 'c2', '蓝天', 1, 'again', 200.0, 201.0, 'm5', 9e12);
INSERT INTO messages (number, id, conversation, parent_id, role, status, created_at, stats,
    error, parts) VALUES
    (1, 'm1', 1, NULL, 'user', 'complete', 101.0, NULL, '',
     '[{"kind":"text","text":"Why is the sky blue?"}]'),
    (2, 'm2', 1, 'm1', 'assistant', 'failed', 102.0, '{"model":"Qwen3-4B"}', 'Out of memory.',
     '[]'),
    (3, 'm3', 1, 'm1', 'assistant', 'complete', 103.0,
     '{"model":"Qwen3-4B","prompt_tokens":9,"reused_tokens":4,"reasoning_tokens":3,"answer_tokens":5,"first_token_seconds":0.25,"prefill_seconds":0.125,"decode_seconds":1.5}',
     '',
     '[{"kind":"reasoning","text":"Rayleigh…"},{"kind":"text","text":"Because of scattering."}]'),
    (4, 'm4', 2, NULL, 'user', 'complete', 200.5, NULL, '',
     '[{"kind":"text","text":"again"}]'),
    (5, 'm5', 2, 'm4', 'assistant', 'streaming', 200.75, '{"model":"Qwen3-4B"}', '', '[]');
INSERT INTO answer_journal VALUES ('m5', 1, 'reasoning', '想'), ('m5', 2, 'text', 'half');
INSERT INTO drafts VALUES ('', 'a new chat'), ('c1', '还有呢？');
PRAGMA application_id = 1364673620;
PRAGMA user_version = 1;
