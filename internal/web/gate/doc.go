// Package gate keeps what strangers may have of a server of HTTP within bounds:
// connections (INB-3), memory and time (INB-2). It contains panics (OPS-9), and lets
// requests that are under way end when the server does (OPS-2).
package gate
