"""The server: files by HTTP, live streams by WebSocket, and a page for both."""
