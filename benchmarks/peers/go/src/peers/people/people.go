// Package people is what both servers share: who calls, and the reads of users.
package people

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgtype"
	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
)

const (
	columns = "users.id, email, role, suspended_at, suspended_until, users.created_at"
	// The session is asked on every request: a sign-out counts at once.
	viewerQuery = "SELECT " + columns + ` FROM sessions JOIN users ON users.id = sessions.user_id
		WHERE sessions.id = $1 AND users.id = $2 AND first_generation <= $3
		AND ended_at IS NULL AND LEAST(expires_at, ends_by) > now()`
	firstQuery = "SELECT " + columns + " FROM users ORDER BY created_at, id LIMIT $1"
	afterQuery = "SELECT " + columns + ` FROM users WHERE (created_at, id) > ($2, $3)
		ORDER BY created_at, id LIMIT $1`
	maxPage = 100
)

// ErrForbidden is what anybody but an administrator gets for a page of users.
var ErrForbidden = errors.New("for administrators only")

// ErrCursor is what an invalid cursor gets.
var ErrCursor = errors.New("invalid cursor")

// User is what clients see of a user.
type User struct {
	ID        string    `json:"id"`
	Email     string    `json:"email"`
	IsActive  bool      `json:"isActive"`
	CreatedAt time.Time `json:"createdAt"`
	role      string
}

// Page is a page of users, in the order of their creation.
type Page struct {
	Users           []User
	HasNextPage     bool
	HasPreviousPage bool
}

// People reads users for whoever may see them.
type People struct {
	pool     *pgxpool.Pool
	verifier *Verifier
}

// Open connects to the database and reads the key, as the environment says.
func Open(ctx context.Context) (*People, error) {
	pem, err := os.ReadFile(os.Getenv("PUBLIC_KEY_FILE"))
	if err != nil {
		return nil, err
	}
	verifier, err := newVerifier(pem, os.Getenv("TOKEN_CACHE") == "1")
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	size, err := strconv.ParseInt(os.Getenv("POOL_SIZE"), 10, 32)
	if err != nil {
		return nil, fmt.Errorf("POOL_SIZE: %w", err)
	}
	config.MinConns, config.MaxConns = int32(size), int32(size)
	pool, err := pgxpool.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	return &People{pool: pool, verifier: verifier}, nil
}

func (p *People) viewer(ctx context.Context, claims *Claims) (*User, error) {
	row := p.pool.QueryRow(ctx, viewerQuery, &claims.SessionID, &claims.UserID, claims.Generation)
	user, err := scan(row, time.Now())
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, nil
	}
	if err != nil || !user.IsActive {
		return nil, err
	}
	return &user, nil
}

// Page returns up to first users after a cursor, or from the start without one.
func (p *People) Page(ctx context.Context, viewer *User, first int, after string) (*Page, error) {
	if viewer == nil || viewer.role != "ADMIN" {
		return nil, ErrForbidden
	}
	first = min(first, maxPage)
	query, values := firstQuery, []any{first + 1}
	if after != "" {
		created, id, err := position(after)
		if err != nil {
			return nil, err
		}
		query, values = afterQuery, []any{first + 1, created, id}
	}
	rows, err := p.pool.Query(ctx, query, values...)
	if err != nil {
		return nil, err
	}
	users, err := collect(rows, first+1)
	if err != nil {
		return nil, err
	}
	page := &Page{Users: users, HasPreviousPage: after != ""}
	if len(users) > first {
		page.Users, page.HasNextPage = users[:first], true
	}
	return page, nil
}

func collect(rows pgx.Rows, atMost int) ([]User, error) {
	defer rows.Close()
	now := time.Now()
	users := make([]User, 0, atMost)
	for rows.Next() {
		user, err := scan(rows, now)
		if err != nil {
			return nil, err
		}
		users = append(users, user)
	}
	return users, rows.Err()
}

func scan(row pgx.Row, now time.Time) (User, error) {
	var (
		user                      User
		id                        pgtype.UUID
		suspended, suspendedUntil pgtype.Timestamptz
	)
	err := row.Scan(&id, &user.Email, &user.role, &suspended, &suspendedUntil, &user.CreatedAt)
	if err != nil {
		return User{}, err
	}
	user.ID = text(id.Bytes)
	user.CreatedAt = user.CreatedAt.UTC()
	user.IsActive = suspended.Status == pgtype.Null ||
		(suspendedUntil.Status == pgtype.Present && !suspendedUntil.Time.After(now))
	return user, nil
}

// Cursor returns the position of a user in the order of pages.
func Cursor(user *User) string {
	position := make([]byte, 0, 64)
	position = user.CreatedAt.AppendFormat(position, time.RFC3339Nano)
	position = append(position, '|')
	position = append(position, user.ID...)
	return base64.StdEncoding.EncodeToString(position)
}

func position(cursor string) (time.Time, string, error) {
	decoded, err := base64.StdEncoding.DecodeString(cursor)
	if err != nil {
		return time.Time{}, "", ErrCursor
	}
	moment, id, _ := strings.Cut(string(decoded), "|")
	created, err := time.Parse(time.RFC3339Nano, moment)
	if err != nil {
		return time.Time{}, "", ErrCursor
	}
	return created, id, nil
}

func text(id [16]byte) string {
	var dashed [36]byte
	hex.Encode(dashed[0:8], id[0:4])
	hex.Encode(dashed[9:13], id[4:6])
	hex.Encode(dashed[14:18], id[6:8])
	hex.Encode(dashed[19:23], id[8:10])
	hex.Encode(dashed[24:36], id[10:16])
	dashed[8], dashed[13], dashed[18], dashed[23] = '-', '-', '-', '-'
	return string(dashed[:])
}
