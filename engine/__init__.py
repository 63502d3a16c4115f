"""The container engine: it makes real containers and lab hosts, and knows nothing of the web page that shows them."""

__version__ = "0.1.0"
