-- A database as format 3 wrote it: what is in version_2.sql, one text compressed, and folders, tags,
-- pins, an archived conversation, an imported one and the index of words. Never edit; see test_migrations.py.
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
, options TEXT, pinned INTEGER NOT NULL DEFAULT 0, archived INTEGER NOT NULL DEFAULT 0, folder INTEGER REFERENCES folders (number) ON DELETE SET NULL, source TEXT);
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
) WITHOUT ROWID
;
CREATE TABLE drafts (
    conversation_id TEXT NOT NULL PRIMARY KEY,  -- "" for a chat not yet begun
    text TEXT NOT NULL
) WITHOUT ROWID
;
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
CREATE TABLE folders (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    created_at REAL NOT NULL
);
CREATE UNIQUE INDEX conversations_source ON conversations (source) WHERE source IS NOT NULL;
CREATE INDEX conversations_listed ON conversations (archived, pinned DESC, updated_at DESC, number DESC, folder, deleted_at) WHERE deleted_at IS NULL;
CREATE INDEX conversations_deleted ON conversations (deleted_at DESC, number DESC, folder) WHERE deleted_at IS NOT NULL;
CREATE TABLE tags (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    name TEXT NOT NULL,
    PRIMARY KEY (conversation, name)
) WITHOUT ROWID
;
CREATE INDEX tags_by_name ON tags (name);
CREATE TABLE removed_messages (
    conversation INTEGER NOT NULL REFERENCES conversations (number) ON DELETE CASCADE,
    id TEXT NOT NULL,
    removed_at REAL NOT NULL,
    PRIMARY KEY (conversation, id)
) WITHOUT ROWID
;
CREATE VIRTUAL TABLE words USING fts5 (terms, content='', detail='none', columnsize=0, tokenize='ascii');
CREATE TABLE to_index (message INTEGER PRIMARY KEY REFERENCES messages (number) ON DELETE CASCADE, again INTEGER NOT NULL);
CREATE TABLE to_forget (message INTEGER PRIMARY KEY, role TEXT NOT NULL, stats TEXT, parts TEXT NOT NULL);
INSERT INTO words (words, rank) VALUES ('automerge', 0), ('crisismerge', 1000);
INSERT INTO folders VALUES (1, 'f1', '物理 Physics', 90.0), (2, 'f2', 'Empty', 91.0);
INSERT INTO conversations VALUES
    (1, 'c1', 'Why is the sky blue?', 0, 'Because of scattering.', 100.0, 104.5, 'm3', NULL,
     '{"policy":"keep_first","values":{"temperature":0.5,"thinking":false,"system_prompt":"简短"}}',
     1, 0, 1, NULL),
    (2, 'c2', '蓝天', 1, 'again', 200.0, 201.0, 'm5', 9e12, NULL,
     0, 1, NULL, 'chatgpt:77');
INSERT INTO removed_messages VALUES (1, 'm0', 103.5);
INSERT INTO tags VALUES (1, 'sky'), (1, '蓝'), (2, 'sky');
INSERT INTO messages (number, id, conversation, parent_id, role, status, created_at, stats,
    error, parts, pinned, provenance, token_ids) VALUES
    (1, 'm1', 1, NULL, 'user', 'complete', 101.0, NULL, '',
     '[{"kind":"text","text":"Why is the sky blue?"}]', 1, NULL, NULL),
    (2, 'm2', 1, 'm1', 'assistant', 'failed', 102.0, '{"model":"Qwen3-4B"}', 'Out of memory.',
     '[]', 0, NULL, NULL),
    (3, 'm3', 1, 'm1', 'assistant', 'complete', 103.0,
     '{"model":"Qwen3-4B","prompt_tokens":9,"reused_tokens":4,"reasoning_tokens":3,"answer_tokens":5,"first_token_seconds":0.25,"prefill_seconds":0.125,"decode_seconds":1.5}',
     '',
     X'789c8bae56cacecc4b51b2522a4a4d2ccecfcbcc4b57d2512a49ad28010a052556e6a466a6673c6a58a654ab03570996852b724a4d4e2c2d4e55c84f53284e4e2c29492d029aa1a7541b0b00bdbb2002', 0,
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
INSERT INTO words (rowid, terms) VALUES (1, 'why sky blue'), (4, 'again'), (9, 'gone');
INSERT INTO to_index VALUES (2, 0), (3, 1);
INSERT INTO to_forget VALUES (9, 'user', NULL, '[{"kind":"text","text":"gone"}]');
CREATE TRIGGER message_added AFTER INSERT ON messages WHEN new.status <> 'streaming'
BEGIN
    INSERT INTO to_index (message, again) VALUES (new.number, 0);
END;
CREATE TRIGGER message_changed AFTER UPDATE OF parts, status ON messages
WHEN new.parts IS NOT old.parts OR new.status IS NOT old.status
BEGIN
    INSERT INTO to_index (message, again) SELECT new.number, old.status <> 'streaming'
    WHERE NOT EXISTS (SELECT 1 FROM to_index WHERE message = new.number);
END;
CREATE TRIGGER message_deleted BEFORE DELETE ON messages
WHEN coalesce(
    (SELECT again FROM to_index WHERE message = old.number), old.status <> 'streaming'
)
BEGIN
    INSERT INTO to_forget (message, role, stats, parts)
    SELECT old.number, old.role, old.stats, old.parts
    WHERE NOT EXISTS (SELECT 1 FROM to_forget WHERE message = old.number);
END;
PRAGMA application_id = 1364673620;
PRAGMA user_version = 3;
