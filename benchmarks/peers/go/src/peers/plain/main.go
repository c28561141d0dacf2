// Built outside of module mode, Go would otherwise behave like 1.20.
//go:debug default=go1.27

// Command plain answers the operations of the benchmark without GraphQL: it knows them by name, and
// writes the answers that GraphQL would give. It is the floor for a server with GraphQL.
package main

import (
	"encoding/json"
	"errors"
	"log"
	"net/http"
	"strings"

	"peers/people"
)

const defaultPage = 50

type request struct {
	Query     string `json:"query"`
	Variables struct {
		After string `json:"after"`
	} `json:"variables"`
}

type answer struct {
	Data   any       `json:"data"`
	Errors []problem `json:"errors,omitempty"`
}

type problem struct {
	Message string `json:"message"`
}

type me struct {
	Me *people.User `json:"me"`
}

type users struct {
	Users *connection `json:"users"`
}

type connection struct {
	Edges    []edge   `json:"edges"`
	PageInfo pageInfo `json:"pageInfo"`
}

type edge struct {
	Cursor string       `json:"cursor"`
	Node   *people.User `json:"node"`
}

type pageInfo struct {
	HasNextPage     bool    `json:"hasNextPage"`
	HasPreviousPage bool    `json:"hasPreviousPage"`
	StartCursor     *string `json:"startCursor"`
	EndCursor       *string `json:"endCursor"`
}

type server struct {
	people *people.People
}

func (s server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked request
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	found, err := s.answer(r, &asked)
	if err != nil {
		log.Print(err)
		http.Error(w, "Internal error.", http.StatusInternalServerError)
		return
	}
	body, err := json.Marshal(found)
	if err != nil {
		log.Print(err)
		http.Error(w, "Internal error.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		log.Print(err)
	}
}

func (s server) answer(r *http.Request, asked *request) (*answer, error) {
	viewer, err := s.people.Viewer(r)
	if err != nil {
		return nil, err
	}
	if !strings.Contains(asked.Query, "users(") {
		return &answer{Data: me{viewer}}, nil
	}
	page, err := s.people.Page(r.Context(), viewer, defaultPage, asked.Variables.After)
	if errors.Is(err, people.ErrForbidden) || errors.Is(err, people.ErrCursor) {
		return &answer{Data: users{}, Errors: []problem{{err.Error()}}}, nil
	}
	if err != nil {
		return nil, err
	}
	return &answer{Data: users{connect(page)}}, nil
}

func connect(page *people.Page) *connection {
	edges := make([]edge, len(page.Users))
	for number := range page.Users {
		user := &page.Users[number]
		edges[number] = edge{people.Cursor(user), user}
	}
	info := pageInfo{HasNextPage: page.HasNextPage, HasPreviousPage: page.HasPreviousPage}
	if len(edges) > 0 {
		info.StartCursor, info.EndCursor = &edges[0].Cursor, &edges[len(edges)-1].Cursor
	}
	return &connection{edges, info}
}

func main() {
	people.Serve(func(found *people.People) http.Handler { return server{found} })
}
