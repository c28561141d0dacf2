// Built outside of module mode, Go would otherwise behave like 1.20.
//go:debug default=go1.27

// Command graphql answers GraphQL with graph-gophers.
package main

import (
	"context"
	"log"
	"net/http"
	"time"

	"github.com/graph-gophers/graphql-go"
	"github.com/graph-gophers/graphql-go/relay"

	"peers/people"
)

const schema = `
	type Query {
		me: User
		users(first: Int = 50, after: String): UserConnection
	}
	type User {
		id: ID!
		email: String!
		isActive: Boolean!
		createdAt: String!
	}
	type UserConnection {
		edges: [UserEdge!]!
		pageInfo: PageInfo!
	}
	type UserEdge {
		cursor: String!
		node: User!
	}
	type PageInfo {
		hasNextPage: Boolean!
		hasPreviousPage: Boolean!
		startCursor: String
		endCursor: String
	}
`

// Fields that are fields of a struct need no goroutine and no reflection on a method.
type user struct {
	ID        graphql.ID
	Email     string
	IsActive  bool
	CreatedAt string
}

type connection struct {
	Edges    []edge
	PageInfo pageInfo
}

type edge struct {
	Cursor string
	Node   user
}

type pageInfo struct {
	HasNextPage     bool
	HasPreviousPage bool
	StartCursor     *string
	EndCursor       *string
}

type query struct {
	people *people.People
}

type viewerKey struct{}

func withViewer(ctx context.Context, viewer *people.User) context.Context {
	return context.WithValue(ctx, viewerKey{}, viewer)
}

func viewerOf(ctx context.Context) *people.User {
	viewer, _ := ctx.Value(viewerKey{}).(*people.User)
	return viewer
}

func (q *query) Me(ctx context.Context) *user {
	viewer := viewerOf(ctx)
	if viewer == nil {
		return nil
	}
	shown := show(viewer)
	return &shown
}

type pageArguments struct {
	First int32
	After *string
}

func (q *query) Users(ctx context.Context, arguments pageArguments) (*connection, error) {
	after := ""
	if arguments.After != nil {
		after = *arguments.After
	}
	page, err := q.people.Page(ctx, viewerOf(ctx), int(arguments.First), after)
	if err != nil {
		return nil, err
	}
	return connect(page), nil
}

func connect(page *people.Page) *connection {
	edges := make([]edge, len(page.Users))
	for number := range page.Users {
		found := &page.Users[number]
		edges[number] = edge{people.Cursor(found), show(found)}
	}
	info := pageInfo{HasNextPage: page.HasNextPage, HasPreviousPage: page.HasPreviousPage}
	if len(edges) > 0 {
		info.StartCursor, info.EndCursor = &edges[0].Cursor, &edges[len(edges)-1].Cursor
	}
	return &connection{edges, info}
}

func show(found *people.User) user {
	return user{
		ID:        graphql.ID(found.ID),
		Email:     found.Email,
		IsActive:  found.IsActive,
		CreatedAt: found.CreatedAt.Format(time.RFC3339Nano),
	}
}

func serve(found *people.People) http.Handler {
	parsed := graphql.MustParseSchema(schema, &query{found}, graphql.UseFieldResolvers())
	handler := &relay.Handler{Schema: parsed}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		viewer, err := found.Viewer(r)
		if err != nil {
			log.Print(err)
			http.Error(w, "Internal error.", http.StatusInternalServerError)
			return
		}
		handler.ServeHTTP(w, r.WithContext(withViewer(r.Context(), viewer)))
	})
}

func main() {
	people.Serve(serve)
}
