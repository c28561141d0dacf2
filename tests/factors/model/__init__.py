"""A model of one account with second factors, and the people who do something with it."""
