"""Names of the columns that Bowerbird's tables and frames share; SQL and Python spell them alike."""

from __future__ import annotations

from typing import Final

EVENT_ID: Final = "event_id"
USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
EVENT: Final = "event"
TIMESTAMP: Final = "timestamp"
WEIGHT: Final = "weight"
LABEL: Final = "label"
SESSION_ID: Final = "session_id"
IS_REPEAT: Final = "is_repeat"
QUANTITY: Final = "quantity"
PRICE: Final = "price"

TITLE: Final = "title"
DESCRIPTION: Final = "description"
CATEGORIES: Final = "categories"
AVAILABLE_FROM: Final = "available_from"
AVAILABLE_UNTIL: Final = "available_until"
CREATED_AT: Final = "created_at"
TEXT_VECTOR: Final = "text_vector"
"""One list of float32 an item, all equally long; null where the item has no text."""
SEMANTIC_ID: Final = "semantic_id"
"""A list of categories an item, such as ``0:17`` and ``1:203``: the clusters that its text falls into, coarse to fine."""

POSITION: Final = "position"
CLICK: Final = "click"
PROPENSITY: Final = "propensity"

SCORE: Final = "score"
RANK: Final = "rank"
SOURCE: Final = "source"
GENERATOR: Final = "generator"
BECAUSE: Final = "because"
SHARE: Final = "share"
ATTRIBUTE: Final = "attribute"
ATTRIBUTE_SHARE: Final = "attribute_share"

SOURCE_FILE: Final = "source_file"
SOURCE_ROW: Final = "source_row"
RUN_ID: Final = "run_id"
REASON: Final = "reason"
REASONS: Final = "reasons"
