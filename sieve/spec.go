package sieve

// need says what a tag takes behind it.
type need uint8

const (
	nothing need = iota
	aNumber
	aString
	strings_
)

// tag is a tagged argument; tags with one group exclude each other.
type tag struct {
	takes    need
	requires string // capability; "" of the command's own
	group    string
}

// spec is the shape of a command or test.
type spec struct {
	requires string
	test     bool
	tags     map[string]tag
	args     []need // positional
	optional int    // of args, from the front: may be missing
	tests    int    // 0, 1, or many (-1)
	block    bool
}

func merge(sets ...map[string]tag) map[string]tag {
	out := map[string]tag{}
	for _, s := range sets {
		for k, v := range s {
			out[k] = v
		}
	}
	return out
}

var (
	matchTags = map[string]tag{
		"is": {group: "match"}, "contains": {group: "match"}, "matches": {group: "match"},
		"regex": {group: "match", requires: "regex"},
		"value": {takes: aString, group: "match", requires: "relational"}, "count": {takes: aString, group: "match", requires: "relational"},
		"comparator": {takes: aString},
	}
	partTags = map[string]tag{
		"all": {group: "part"}, "localpart": {group: "part"}, "domain": {group: "part"},
		"user": {group: "part", requires: "subaddress"}, "detail": {group: "part", requires: "subaddress"},
	}
	indexTags = map[string]tag{"index": {takes: aNumber, requires: "index"}, "last": {requires: "index"}}
	zoneTags  = map[string]tag{"zone": {takes: aString, group: "zone"}, "originalzone": {group: "zone"}}
	copyTag   = map[string]tag{"copy": {requires: "copy"}}
	flagsTag  = map[string]tag{"flags": {takes: strings_, requires: "imap4flags"}}
)

// specs are all commands and tests that this package knows.
func specs() map[string]*spec {
	header := merge(matchTags, indexTags)
	vacation := map[string]tag{
		"days": {takes: aNumber, group: "period"}, "seconds": {takes: aNumber, group: "period", requires: "vacation-seconds"},
		"subject": {takes: aString}, "from": {takes: aString}, "addresses": {takes: strings_}, "mime": {}, "handle": {takes: aString},
	}
	set := map[string]tag{
		"lower": {group: "40"}, "upper": {group: "40"}, "lowerfirst": {group: "30"}, "upperfirst": {group: "30"},
		"quotewildcard": {group: "20"}, "quoteregex": {group: "20", requires: "regex"}, "length": {group: "10"},
		"encodeurl": {group: "15", requires: "enotify"},
	}
	fileinto := merge(copyTag, flagsTag, map[string]tag{"create": {requires: "mailbox"}, "specialuse": {takes: aString, requires: "special-use"}})
	duplicate := map[string]tag{
		"handle": {takes: aString}, "header": {takes: aString, group: "id"}, "uniqueid": {takes: aString, group: "id"},
		"seconds": {takes: aNumber}, "last": {},
	}
	include := map[string]tag{"personal": {group: "location"}, "global": {group: "location"}, "once": {}, "optional": {}}
	notify := map[string]tag{"from": {takes: aString}, "importance": {takes: aString}, "options": {takes: strings_}, "message": {takes: aString}}
	body := merge(matchTags, map[string]tag{"raw": {group: "transform"}, "content": {takes: strings_, group: "transform"}, "text": {group: "transform"}})
	return map[string]*spec{
		"require": {args: []need{strings_}},
		"if":      {tests: 1, block: true}, "elsif": {tests: 1, block: true}, "else": {block: true},
		"stop": {}, "keep": {tags: flagsTag}, "discard": {},
		"redirect":     {args: []need{aString}, tags: copyTag},
		"fileinto":     {requires: "fileinto", args: []need{aString}, tags: fileinto},
		"reject":       {requires: "reject", args: []need{aString}},
		"ereject":      {requires: "ereject", args: []need{aString}},
		"vacation":     {requires: "vacation", args: []need{aString}, tags: vacation},
		"set":          {requires: "variables", args: []need{aString, aString}, tags: set},
		"setflag":      {requires: "imap4flags", args: []need{aString, strings_}, optional: 1},
		"addflag":      {requires: "imap4flags", args: []need{aString, strings_}, optional: 1},
		"removeflag":   {requires: "imap4flags", args: []need{aString, strings_}, optional: 1},
		"addheader":    {requires: "editheader", args: []need{aString, aString}, tags: map[string]tag{"last": {}}},
		"deleteheader": {requires: "editheader", args: []need{aString, strings_}, optional: -1, tags: merge(matchTags, map[string]tag{"index": {takes: aNumber}, "last": {}})},
		"include":      {requires: "include", args: []need{aString}, tags: include},
		"return":       {requires: "include"}, "global": {requires: "include", args: []need{strings_}},
		"notify": {requires: "enotify", args: []need{aString}, tags: notify},
		"error":  {requires: "ihave", args: []need{aString}},

		"true": {test: true}, "false": {test: true}, "not": {test: true, tests: 1},
		"allof": {test: true, tests: -1}, "anyof": {test: true, tests: -1},
		"address":                  {test: true, tags: merge(header, partTags), args: []need{strings_, strings_}},
		"envelope":                 {test: true, requires: "envelope", tags: merge(matchTags, partTags), args: []need{strings_, strings_}},
		"header":                   {test: true, tags: header, args: []need{strings_, strings_}},
		"exists":                   {test: true, args: []need{strings_}},
		"size":                     {test: true, tags: map[string]tag{"over": {takes: aNumber, group: "size"}, "under": {takes: aNumber, group: "size"}}},
		"string":                   {test: true, requires: "variables", tags: matchTags, args: []need{strings_, strings_}},
		"hasflag":                  {test: true, requires: "imap4flags", tags: matchTags, args: []need{strings_, strings_}, optional: 1},
		"date":                     {test: true, requires: "date", tags: merge(header, zoneTags), args: []need{aString, aString, strings_}},
		"currentdate":              {test: true, requires: "date", tags: merge(matchTags, map[string]tag{"zone": {takes: aString}}), args: []need{aString, strings_}},
		"body":                     {test: true, requires: "body", tags: body, args: []need{strings_}},
		"mailboxexists":            {test: true, requires: "mailbox", args: []need{strings_}},
		"specialuse_exists":        {test: true, requires: "special-use", args: []need{aString, strings_}, optional: 1},
		"environment":              {test: true, requires: "environment", tags: matchTags, args: []need{aString, strings_}},
		"duplicate":                {test: true, requires: "duplicate", tags: duplicate},
		"spamtest":                 {test: true, requires: "spamtest", tags: merge(matchTags, map[string]tag{"percent": {requires: "spamtestplus"}}), args: []need{aString}},
		"valid_notify_method":      {test: true, requires: "enotify", args: []need{strings_}},
		"notify_method_capability": {test: true, requires: "enotify", tags: matchTags, args: []need{aString, aString, strings_}},
		"ihave":                    {test: true, requires: "ihave", args: []need{strings_}},
	}
}

// Capabilities are the extensions that a script may require, as ManageSieve
// announces them.
func Capabilities() []string {
	return []string{
		"fileinto", "reject", "ereject", "envelope", "encoded-character", "comparator-i;ascii-numeric", "comparator-i;octet", "comparator-i;ascii-casemap",
		"imap4flags", "variables", "relational", "subaddress", "copy", "mailbox", "special-use", "date", "index", "body", "vacation",
		"vacation-seconds", "environment", "include", "duplicate", "editheader", "regex", "spamtest", "spamtestplus", "enotify", "ihave",
	}
}
