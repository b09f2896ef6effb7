// Package offer says which capabilities the IMAP server announces, and what is left of them where some are switched
// off (IMP-2).
package offer

import (
	"slices"
	"strings"
)

// first are the capabilities that are of use before a login.
var first = []string{"IMAP4rev2", "IMAP4rev1", "LITERAL+", "SASL-IR", "ENABLE", "ID"}

// after are those that are of use after it (IMP-2).
var after = []string{
	"IDLE", "NAMESPACE", "UNSELECT", "CHILDREN", "LIST-EXTENDED", "LIST-STATUS", "SPECIAL-USE", "CREATE-SPECIAL-USE", "UIDPLUS", "ESEARCH", "ESORT", "CONTEXT=SEARCH", "CONTEXT=SORT",
	"SEARCHRES", "MOVE", "CONDSTORE", "QRESYNC", "STATUS=SIZE", "MULTIAPPEND", "BINARY", "UTF8=ACCEPT", "SORT", "SORT=DISPLAY",
	"THREAD=ORDEREDSUBJECT", "THREAD=REFERENCES", "WITHIN", "QUOTA", "QUOTA=RES-STORAGE", "QUOTA=RES-MESSAGE", "METADATA", "SAVEDATE", "OBJECTID",
	"PREVIEW", "PARTIAL", "REPLACE", "UIDONLY", "NOTIFY", "COMPRESS=DEFLATE", "INPROGRESS",
	"CATENATE", "URLAUTH", "URLAUTH=BINARY",
}

// First are those that are announced before a login, and All those after it. APPENDLIMIT, whose value is a setting, and
// the ways to log in are the server's to add.
func First() []string { return slices.Clone(first) }

// All are those that are announced after a login.
func All() []string { return slices.Concat(first, after) }

// Optional are all that can be switched off.
func Optional() []string { return slices.Concat(first[2:], after) }

// Off are capabilities that are switched off.
type Off []string

func (o Off) names(c string) bool {
	return slices.ContainsFunc(o, func(d string) bool { return strings.EqualFold(d, c) })
}

// Has reports that a capability is switched off. One without its value, such as THREAD, is on while any of it is.
func (o Off) Has(name string) bool {
	if len(o) == 0 {
		return false
	}
	if o.names(name) {
		return true
	}
	some := false
	for _, c := range after {
		if base, _, ok := strings.Cut(c, "="); ok && base == name {
			if some = true; !o.names(c) {
				return false
			}
		}
	}
	return some && !slices.Contains(after, name)
}

// Rest are those of all that are not switched off.
func (o Off) Rest(all []string) (out []string) {
	for _, c := range all {
		if !o.Has(c) {
			out = append(out, c)
		}
	}
	return out
}
