"""The tables of a store, as migrations: each brings a store from one version to the next.

Migrations are never edited once released, only added to. Digests are text with their algorithm;
times are seconds since the epoch; sizes are bytes.

The column `lease` that several tables have is the number of the newest lease under which the row
was made or used; `gc` explains how it protects the row.

The column `boot` names the boot during which something was written without waiting for the disk;
it is NULL when the disk is known to have it. `durability` explains.
"""

from __future__ import annotations

_FIRST = (
    # Content, by its digest. `diff_id`: of the layer that the content is, perhaps compressed.
    """
    CREATE TABLE blobs (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        media_type TEXT NOT NULL DEFAULT '',
        diff_id TEXT,
        created REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0,
        boot TEXT
    ) WITHOUT ROWID
    """,
    "CREATE INDEX blobs_by_diff_id ON blobs (diff_id) WHERE diff_id IS NOT NULL",
    # One layer on top of a parent. Numbers are never used twice (AUTOINCREMENT): a process may
    # still hold the number of one that is gone.
    # `active`: somebody writes to it; it becomes a snapshot when it is committed.
    # `forms`: the directories it has, a sum of 1 (`fs`, the layer's own files and whiteouts) and
    # 2 (`tree`, the files of the layer and all beneath). `original`: its content began in such a
    # directory, from which the layer's tar can be written with the same bytes again; a directory
    # unpacked from a foreign tar may give other bytes. `size`: bytes of the layer's own files.
    """
    CREATE TABLE snapshots (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        parent INTEGER REFERENCES snapshots (id),
        active INTEGER NOT NULL DEFAULT 0,
        forms INTEGER NOT NULL DEFAULT 0,
        original INTEGER NOT NULL DEFAULT 0,
        diff_id TEXT,
        chain_id TEXT,
        size INTEGER NOT NULL DEFAULT 0,
        tar_size INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0,
        boot TEXT
    )
    """,
    # Only for_layers and add_layer promise one snapshot per layer and parent; two RUN steps may
    # happen to make the same layer, so this is not unique.
    "CREATE INDEX snapshots_by_chain_id ON snapshots (chain_id) WHERE chain_id IS NOT NULL",
    "CREATE INDEX snapshots_unfinished ON snapshots (parent) WHERE chain_id IS NULL",
    "CREATE INDEX snapshots_by_diff_id ON snapshots (diff_id) WHERE diff_id IS NOT NULL",
    "CREATE INDEX snapshots_by_parent ON snapshots (parent)",
    # Snapshots written again with no time later than `epoch`, upon `parent` (NULL: upon nothing).
    """
    CREATE TABLE clamped (
        snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
        parent INTEGER REFERENCES snapshots (id) ON DELETE CASCADE,
        epoch INTEGER NOT NULL,
        result INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX clamped_by_snapshot ON clamped (snapshot)",
    "CREATE INDEX clamped_by_parent ON clamped (parent)",
    "CREATE INDEX clamped_by_result ON clamped (result)",
    # Images by the digest of their manifest; `config` is the image ID.
    # `chain_id` is that of the topmost layer, NULL for an image without layers.
    """
    CREATE TABLE images (
        manifest TEXT PRIMARY KEY,
        config TEXT NOT NULL,
        os TEXT NOT NULL,
        architecture TEXT NOT NULL,
        variant TEXT NOT NULL,
        created TEXT,
        size INTEGER NOT NULL,
        chain_id TEXT,
        added REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "CREATE INDEX images_by_config ON images (config)",
    """
    CREATE TABLE image_layers (
        manifest TEXT NOT NULL REFERENCES images (manifest) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        digest TEXT NOT NULL,
        diff_id TEXT NOT NULL,
        PRIMARY KEY (manifest, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX image_layers_by_diff_id ON image_layers (diff_id)",
    # Indexes, and what they list; the manifests need not be here.
    """
    CREATE TABLE image_indexes (
        digest TEXT PRIMARY KEY,
        added REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE index_manifests (
        image_index TEXT NOT NULL REFERENCES image_indexes (digest) ON DELETE CASCADE,
        position INTEGER NOT NULL,
        manifest TEXT NOT NULL,
        os TEXT NOT NULL,
        architecture TEXT NOT NULL,
        variant TEXT NOT NULL,
        PRIMARY KEY (image_index, position)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX index_manifests_by_manifest ON index_manifests (manifest)",
    # References in canonical form, with a tag or with a digest; `target` is the digest of a
    # manifest or of an index.
    """
    CREATE TABLE names (
        reference TEXT PRIMARY KEY,
        target TEXT NOT NULL,
        updated REAL NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX names_by_target ON names (target)",
    # Results of build steps. A NULL snapshot is the empty file system.
    """
    CREATE TABLE records (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        key TEXT NOT NULL,
        snapshot INTEGER REFERENCES snapshots (id),
        name TEXT NOT NULL,
        created REAL NOT NULL,
        last_used REAL NOT NULL,
        uses INTEGER NOT NULL DEFAULT 0,
        lease INTEGER NOT NULL DEFAULT 0
    )
    """,
    "CREATE INDEX records_by_snapshot ON records (snapshot)",
    # What went into a record's key; apart, as it may be large and each use writes the record's row.
    """
    CREATE TABLE record_components (
        record INTEGER PRIMARY KEY REFERENCES records (id) ON DELETE CASCADE,
        components BLOB NOT NULL
    )
    """,
    """
    CREATE TABLE record_keys (
        key TEXT PRIMARY KEY,
        record INTEGER NOT NULL REFERENCES records (id) ON DELETE CASCADE
    ) WITHOUT ROWID
    """,
    "CREATE INDEX record_keys_by_record ON record_keys (record)",
    # Work in flight. The row tells what for; who lives is told by file locks (see `leases`).
    """
    CREATE TABLE leases (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        purpose TEXT NOT NULL,
        pid INTEGER NOT NULL,
        started REAL NOT NULL
    )
    """,
    """
    CREATE TABLE containers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        image TEXT NOT NULL,
        snapshot INTEGER REFERENCES snapshots (id),
        state TEXT NOT NULL,
        running INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX containers_by_image ON containers (image)",
    """
    CREATE TABLE cache_mounts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL UNIQUE,
        ready INTEGER NOT NULL DEFAULT 0,
        size INTEGER NOT NULL DEFAULT 0,
        created REAL NOT NULL,
        last_used REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0
    )
    """,
)

_SECOND = (
    # Steps of builds that failed; see `failed_steps`. `process` is JSON.
    """
    CREATE TABLE failed_steps (
        id TEXT PRIMARY KEY,
        build TEXT NOT NULL,
        name TEXT NOT NULL,
        snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE,
        process TEXT NOT NULL,
        created REAL NOT NULL,
        lease INTEGER NOT NULL DEFAULT 0
    ) WITHOUT ROWID
    """,
    "CREATE INDEX failed_steps_by_snapshot ON failed_steps (snapshot)",
    # Other file systems that a failed step saw.
    """
    CREATE TABLE failed_step_inputs (
        step TEXT NOT NULL REFERENCES failed_steps (id) ON DELETE CASCADE,
        snapshot INTEGER NOT NULL REFERENCES snapshots (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX failed_step_inputs_by_step ON failed_step_inputs (step)",
    "CREATE INDEX failed_step_inputs_by_snapshot ON failed_step_inputs (snapshot)",
    # Images (IDs) that were made of another one by a step of a build, as docker's classic builder
    # does. The parent may be gone.
    """
    CREATE TABLE image_parents (
        image TEXT PRIMARY KEY,
        parent TEXT NOT NULL
    ) WITHOUT ROWID
    """,
    "CREATE INDEX image_parents_by_parent ON image_parents (parent)",
)

_THIRD = ("ALTER TABLE cache_mounts ADD COLUMN uses INTEGER NOT NULL DEFAULT 0",)

_FOURTH = (
    # Volumes, and the containers that use them. `labels` and `options` are JSON.
    """
    CREATE TABLE volumes (
        name TEXT PRIMARY KEY,
        labels TEXT NOT NULL,
        options TEXT NOT NULL,
        anonymous INTEGER NOT NULL,
        created REAL NOT NULL
    ) WITHOUT ROWID
    """,
    """
    CREATE TABLE volume_uses (
        volume TEXT NOT NULL REFERENCES volumes (name),
        container TEXT NOT NULL REFERENCES containers (id) ON DELETE CASCADE,
        PRIMARY KEY (volume, container)
    ) WITHOUT ROWID
    """,
    "CREATE INDEX volume_uses_by_container ON volume_uses (container)",
)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_FIRST, _SECOND, _THIRD, _FOURTH)
VERSION = len(MIGRATIONS)
