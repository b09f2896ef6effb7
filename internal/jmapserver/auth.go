package jmapserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"waxwing/internal/account"
	"waxwing/internal/login"
	"waxwing/internal/web/signin"
	"waxwing/internal/websession"
	"waxwing/sasl"
	"waxwing/smtp"
)

// Refused is why a request is nobody's.
type Refused struct {
	Status int // 401, 403 for a page of another site, or 429 for a client that has to wait
	Text   string
}

func (r *Refused) Error() string { return r.Text }

// Passwords checks who makes a request by what stands in its Authorization field: Basic, or Bearer with the same octets.
// Guesses are slowed down, and logins noted, as everywhere (JMP-1).
func Passwords(c *login.Checker) func(r *http.Request) (string, error) {
	return func(r *http.Request) (string, error) {
		user, password, ok := credentials(r.Header.Get("Authorization"))
		if !ok {
			return "", &Refused{http.StatusUnauthorized, "log in with the address and a password of the account"}
		}
		remote, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || r.TLS == nil {
			return "", &Refused{http.StatusUnauthorized, "passwords are taken over TLS only"}
		}
		return check(r.Context(), c, &connection{r, netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())}, "\x00"+user+"\x00"+password)
	}
}

// Browsers checks who makes a request by the session of a browser (WEB-3), where it says that it belongs to one and shows no
// password; rest checks all others. A browser sends its cookie with whatever a page asks for: so what a page of another
// origin has asked for is nobody's, reading and the event stream included. way is the entrance that a request could have come by.
func Browsers(way func(*http.Request) *signin.Entrance, rest func(r *http.Request) (string, error)) func(r *http.Request) (string, error) {
	protection := http.NewCrossOriginProtection()
	return func(r *http.Request) (string, error) {
		in := way(r)
		if r.Header.Get("Authorization") != "" || !in.HasCookie(r) {
			return rest(r)
		}
		asked := *r
		asked.Method = http.MethodPost // a method that is looked at
		if protection.Check(&asked) != nil {
			return "", &Refused{http.StatusForbidden, "requests of other sites are not served"}
		}
		x, err := in.Session(r)
		if errors.Is(err, websession.ErrOver) {
			return "", &Refused{http.StatusUnauthorized, websession.ErrOver.Error()}
		}
		return x.Account, err
	}
}

// Standing is by what whoever has made a request was let in, for connections that last: the password that it has shown, or the session of
// a browser; nil where it would not be let in any more. To look is no use of a session, and no login.
func Standing(way func(*http.Request) *signin.Entrance, logins *login.Checker) func(r *http.Request, account string) (login.Standing, error) {
	return func(r *http.Request, name string) (login.Standing, error) {
		if field := r.Header.Get("Authorization"); field != "" {
			_, password, _ := credentials(field)
			g, err := logins.GrantOf(r.Context(), name, password, account.Proven{Protocol: account.JMAP, From: signin.Remote(r)})
			if g == nil || err != nil {
				return nil, err
			}
			return g, nil
		}
		v := visit{way(r), r}
		if holds, err := v.Holds(r.Context()); !holds || err != nil {
			return nil, err
		}
		return v, nil
	}
}

// visit is the session of a browser, as a request has shown it.
type visit struct {
	in *signin.Entrance
	r  *http.Request
}

// Holds reports that the session goes on.
func (v visit) Holds(ctx context.Context) (bool, error) {
	err := v.in.Look(v.r.WithContext(ctx))
	if errors.Is(err, websession.ErrOver) {
		return false, nil
	}
	return true, err
}

// credentials reads an Authorization field.
func credentials(field string) (user, password string, ok bool) {
	scheme, text, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Basic") && !strings.EqualFold(scheme, "Bearer") {
		return "", "", false
	}
	text = strings.TrimRight(strings.TrimSpace(text), "=")
	b, err := base64.RawStdEncoding.DecodeString(text)
	if err != nil {
		b, err = base64.RawURLEncoding.DecodeString(text)
	}
	if err != nil || strings.ContainsRune(string(b), 0) {
		return "", "", false
	}
	user, password, ok = strings.Cut(string(b), ":")
	return user, password, ok && user != ""
}

// check runs an exchange of PLAIN.
func check(ctx context.Context, c *login.Checker, conn *connection, response string) (string, error) {
	ex, reply := c.Start(ctx, sasl.Plain, conn)
	if reply != nil {
		return "", refusal(reply)
	}
	_, _, err := ex.Next([]byte(response))
	if reply := c.Done(ctx, conn, ex, err); reply != nil {
		return "", refusal(reply)
	}
	switch {
	case errors.As(err, &reply):
		return "", refusal(reply)
	case errors.Is(err, sasl.ErrFailed):
		return "", &Refused{http.StatusUnauthorized, "the password is wrong, or the account may not log in"}
	case err != nil:
		return "", err
	}
	return ex.Identity(), nil
}

// refusal is a reply of submission in words of HTTP: who has to wait comes again, and whom the account's rules do not let in
// does not (ACC-3).
func refusal(r *smtp.Reply) *Refused {
	status := http.StatusTooManyRequests
	if r.Code/100 == 5 {
		status = http.StatusUnauthorized
	}
	return &Refused{status, strings.Join(r.Lines, " ")}
}

// connection is a request as the room of logins sees it.
type connection struct {
	r      *http.Request
	remote netip.AddrPort
}

func (c *connection) Remote() netip.AddrPort               { return c.remote }
func (c *connection) Local() netip.AddrPort                { return netip.AddrPort{} }
func (c *connection) TLS() *tls.ConnectionState            { return c.r.TLS }
func (c *connection) ServerCertificate() *x509.Certificate { return nil }
func (c *connection) HELO() string                         { return clientName(c.r.UserAgent()) }
func (c *connection) ESMTP() bool                          { return false }
func (c *connection) Identity() string                     { return "" }
func (c *connection) Protocol() account.Protocol           { return account.JMAP }

// clientName is what a program calls itself, in so many characters.
func clientName(agent string) string {
	const most = 80
	if len(agent) > most {
		agent = strings.ToValidUTF8(agent[:most], "")
	}
	return agent
}

// unauthorized answers a request that is nobody's.
func (s *Server) unauthorized(w http.ResponseWriter, r *http.Request, err error) {
	var refused *Refused
	if !errors.As(err, &refused) {
		s.refuse(w, r, err)
		return
	}
	switch refused.Status {
	case http.StatusUnauthorized:
		if r.Header.Get("Sec-Fetch-Site") != "same-origin" { // our own pages have one that asks better than browsers do
			w.Header().Add("WWW-Authenticate", `Basic realm="mail", charset="UTF-8"`)
		}
		w.Header().Add("WWW-Authenticate", `Bearer realm="mail"`)
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "60")
	}
	http.Error(w, refused.Text, refused.Status)
}
