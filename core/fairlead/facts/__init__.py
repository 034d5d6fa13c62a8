"""Events, orders, touches and channel metrics: what happened."""
