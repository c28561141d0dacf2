package people

import (
	"context"
	"log"
	"net"
	"net/http"
	"os"
	"time"
)

// Serve connects to the database, then answers POST /graphql until the process ends.
func Serve(handler func(*People) http.Handler) {
	people, err := Open(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.Handle("POST /graphql", handler(people))
	server := &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", os.Getenv("PORT")),
		Handler:           routes,
		ReadHeaderTimeout: 10 * time.Second,
	}
	log.Fatal(server.ListenAndServe())
}
