"""IMAP IDLE and the sweep → JetStream. Trio is the spine, trio-asyncio the bridge to the asyncio libraries."""
