"""The outbox: messages, guards before a send, dispatch, receipts."""
