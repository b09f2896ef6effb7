package sasl

import "unicode/utf8"

// External is the mechanism by which TLS has authenticated the client already
// (RFC 4422 Appendix A).
const External = "EXTERNAL"

// Decide says which account a client that TLS has authenticated acts as: the one
// that authzid names, or with "" the one that its certificate alone stands for.
// It returns ErrFailed where that is none; any other error is passed on.
type Decide func(authzid string) (account string, err error)

type externalServer struct {
	decide   Decide
	identity string
}

// NewExternalServer is the server of EXTERNAL. It may only be offered where the
// client's certificate was verified.
func NewExternalServer(decide Decide) Server { return &externalServer{decide: decide} }

func (s *externalServer) Identity() string { return s.identity }

func (s *externalServer) Next(response []byte) ([]byte, bool, error) {
	if response == nil {
		return []byte{}, false, nil
	}
	authzid := string(response)
	if err := checkText(External, authzid); err != nil {
		return nil, false, err
	}
	if !utf8.ValidString(authzid) { // Appendix A.2: UTF-8 without NUL
		return nil, false, &SyntaxError{External, "the authorization identity is not UTF-8"}
	}
	account, err := s.decide(authzid)
	if err != nil {
		return nil, false, err
	}
	s.identity = account
	return nil, true, nil
}
