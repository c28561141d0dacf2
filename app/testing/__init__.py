"""What tests of Portico use, and tests of modules from elsewhere: `app.testing.fixtures` first."""
