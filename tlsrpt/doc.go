// Package tlsrpt reads and writes SMTP TLS reports: the DNS record, the JSON
// report, its file name and its mail (RFC 8460). It looks nothing up and sends
// nothing.
package tlsrpt
