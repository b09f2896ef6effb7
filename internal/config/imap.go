package config

import "time"

// IMAPServer is the IMAP server.
type IMAPServer struct {
	Disable               []string      `toml:"disable" example:"[\"NOTIFY\", \"COMPRESS=DEFLATE\"]" doc:"Extensions that are neither announced nor served, by the names under which CAPABILITY announces them. For clients that cannot live with one."`
	ConnectionsPerAccount int           `toml:"connections_per_account" min:"1" max:"100000" doc:"Connections at one time that are logged in as one account, on one listener. Programs open several each: one for each mailbox that they watch."`
	ConnectionsPerIP      int           `toml:"connections_per_ip" min:"1" max:"1000000" doc:"Connections at one time from one IPv4 address or IPv6 /64 network, on one listener; those of an office may all come from one."`
	SearchTime            time.Duration `toml:"search_time" min:"1s" max:"1h" doc:"How long one search may take."`
}

// IsIMAP reports a listener on which IMAP is spoken.
func (l Listen) IsIMAP() bool { return l.Kind == IMAP || l.Kind == IMAPS }

// LogsIn reports a listener on which accounts log in.
func (l Listen) LogsIn() bool {
	return l.IsIMAP() || l.Kind == ManageSieve || l.Kind == Submission || l.Kind == Submissions
}
