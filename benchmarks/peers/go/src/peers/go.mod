module peers

go 1.27

// The versions of Debian 12, whose packages are what is built: see benchmarks/README.md.
require (
	github.com/golang-jwt/jwt/v4 v4.4.3
	github.com/graph-gophers/graphql-go v1.5.0
	github.com/hashicorp/golang-lru v0.5.4
	github.com/jackc/pgtype v1.10.0
	github.com/jackc/pgx/v4 v4.15.0
)
