"""What the module `users` brings."""

from app.module import Module

MODULE = Module(name="users", models="app.users.models")
