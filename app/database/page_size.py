"""The page size of every list: the default, and the maximum for `first` and `last`."""

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 100
