package people

import (
	"crypto/ecdsa"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v4"
	lru "github.com/hashicorp/golang-lru"
	"github.com/jackc/pgtype"
)

const rememberedTokens = 20_000

// Claims are those of a verified access token.
type Claims struct {
	UserID     pgtype.UUID
	SessionID  pgtype.UUID
	Generation int32
	expires    time.Time
}

// Verifier verifies access tokens, and remembers those that it verified if it has a cache.
type Verifier struct {
	key    *ecdsa.PublicKey
	parser *jwt.Parser
	cache  *lru.Cache
}

type accessToken struct {
	jwt.RegisteredClaims
	SessionID  string `json:"sid"`
	Generation int32  `json:"gen"`
}

func newVerifier(pem []byte, remember bool) (*Verifier, error) {
	key, err := jwt.ParseECPublicKeyFromPEM(pem)
	if err != nil {
		return nil, err
	}
	verifier := &Verifier{key: key, parser: jwt.NewParser(jwt.WithValidMethods([]string{"ES256"}))}
	if remember {
		verifier.cache, err = lru.New(rememberedTokens)
	}
	return verifier, err
}

// claims returns those of a valid token, or nil.
func (v *Verifier) claims(token string) *Claims {
	if v.cache == nil {
		return v.verify(token)
	}
	if known, ok := v.cache.Get(token); ok {
		if claims := known.(*Claims); time.Now().Before(claims.expires) {
			return claims
		}
		return nil
	}
	claims := v.verify(token)
	if claims != nil {
		v.cache.Add(token, claims)
	}
	return claims
}

func (v *Verifier) verify(token string) *Claims {
	var found accessToken
	_, err := v.parser.ParseWithClaims(token, &found, func(*jwt.Token) (any, error) {
		return v.key, nil
	})
	if err != nil || found.ExpiresAt == nil {
		return nil
	}
	claims := &Claims{Generation: found.Generation, expires: found.ExpiresAt.Time}
	if claims.UserID.Set(found.Subject) != nil || claims.SessionID.Set(found.SessionID) != nil {
		return nil
	}
	return claims
}

// Viewer returns the user of the request's access token, or nil.
func (p *People) Viewer(r *http.Request) (*User, error) {
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok {
		return nil, nil
	}
	claims := p.verifier.claims(token)
	if claims == nil {
		return nil, nil
	}
	return p.viewer(r.Context(), claims)
}
