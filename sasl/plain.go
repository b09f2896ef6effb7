package sasl

import (
	"bytes"
	"errors"
	"strings"
)

type plainServer struct {
	verify   Verify
	identity string
}

// NewPlainServer is the server of PLAIN (RFC 4616). It may only be offered
// over TLS.
func NewPlainServer(verify Verify) Server { return &plainServer{verify: verify} }

func (s *plainServer) Identity() string { return s.identity }

func (s *plainServer) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	parts := bytes.Split(response, []byte{0})
	if len(parts) != 3 {
		return nil, false, &SyntaxError{Plain, "the response is not authzid NUL authcid NUL password"}
	}
	authz, user, password := string(parts[0]), string(parts[1]), string(parts[2])
	if err := checkText(Plain, authz, user, password); err != nil {
		return nil, false, err
	}
	if user == "" || password == "" {
		return nil, false, &SyntaxError{Plain, "user name or password is empty"}
	}
	account, err := s.verify(user, password)
	if err != nil {
		return nil, false, err
	}
	// RFC 4616 §2: acting for somebody else is not offered.
	if !mayActAs(authz, user, account) {
		return nil, false, ErrFailed
	}
	s.identity = account
	return nil, true, nil
}

// mayActAs decides on an authorization identity: none, or one's own.
func mayActAs(authz, user, account string) bool {
	return authz == "" || strings.EqualFold(authz, user) || authz == account
}

type plainClient struct{ authz, user, password string }

// NewPlainClient is the client of PLAIN. authz is empty to act as oneself.
func NewPlainClient(authz, user, password string) Client {
	return &plainClient{authz, user, password}
}

func (c *plainClient) Start() (string, []byte, error) {
	if err := checkText(Plain, c.authz, c.user, c.password); err != nil {
		return Plain, nil, err
	}
	return Plain, []byte(c.authz + "\x00" + c.user + "\x00" + c.password), nil
}

// Next answers the empty challenge of a server that took no initial response.
func (c *plainClient) Next(challenge []byte) ([]byte, error) {
	if len(challenge) != 0 {
		return nil, &SyntaxError{Plain, "unexpected challenge"}
	}
	_, ir, err := c.Start()
	return ir, err
}

type loginServer struct {
	verify   Verify
	user     string
	asked    int // challenges sent
	identity string
}

// NewLoginServer is the server of LOGIN, which no RFC defines
// (draft-murchison-sasl-login). It may only be offered over TLS.
func NewLoginServer(verify Verify) Server { return &loginServer{verify: verify} }

func (s *loginServer) Identity() string { return s.identity }

func (s *loginServer) Next(response []byte) ([]byte, bool, error) {
	if s.asked == 0 {
		s.asked = 1
		if response == nil {
			return []byte("Username:"), false, nil
		}
	}
	if err := checkText(Login, string(response)); err != nil {
		return nil, false, err
	}
	if len(response) == 0 {
		return nil, false, &SyntaxError{Login, "user name or password is empty"}
	}
	if s.asked == 1 {
		s.asked, s.user = 2, string(response)
		return []byte("Password:"), false, nil
	}
	account, err := s.verify(s.user, string(response))
	if err != nil {
		return nil, false, err
	}
	s.identity = account
	return nil, true, nil
}

type loginClient struct {
	user, password string
	step           int
}

// NewLoginClient is the client of LOGIN.
func NewLoginClient(user, password string) Client {
	return &loginClient{user: user, password: password}
}

func (c *loginClient) Start() (string, []byte, error) {
	return Login, nil, checkText(Login, c.user, c.password)
}

// Next gives the user name, then the password, whatever the prompts say:
// servers word them differently.
func (c *loginClient) Next([]byte) ([]byte, error) {
	c.step++
	switch c.step {
	case 1:
		return []byte(c.user), nil
	case 2:
		return []byte(c.password), nil
	}
	return nil, errors.New("LOGIN: the server asked more than twice")
}
