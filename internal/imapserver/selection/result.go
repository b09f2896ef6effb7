package selection

import (
	"slices"
	"strconv"

	"waxwing/imap"
	"waxwing/internal/mailbox"
	"waxwing/internal/mailboxes"
)

// Numbers are the sequence numbers of hits, or their UIDs.
func Numbers(hits []Hit, uid bool) []uint32 {
	out := make([]uint32, len(hits))
	for i, h := range hits {
		if out[i] = uint32(h.Seq); uid {
			out[i] = h.UID
		}
	}
	return out
}

// Highest is the highest modseq of hits.
func Highest(hits []Hit) (modseq uint64) {
	for _, h := range hits {
		modseq = max(modseq, h.ModSeq)
	}
	return modseq
}

// Options are those of RETURN; nil where the command has none.
type Options []imap.ReturnOption

// Has reports an option.
func (o Options) Has(name string) bool {
	return slices.ContainsFunc(o, func(o imap.ReturnOption) bool { return o.Name == name })
}

// results are the options that say what is returned.
func (o Options) results() Options {
	return slices.DeleteFunc(slices.Clone(o), func(o imap.ReturnOption) bool { return o.Name == "SAVE" || o.Name == "UPDATE" || o.Name == "CONTEXT" })
}

// Silent reports that nothing is returned, since the result is only saved (RFC 5182 §2.1).
func (o Options) Silent() bool { return len(o) == 1 && o[0].Name == "SAVE" }

// Save keeps a result for "$" (RFC 5182 §2.1: with MIN or MAX alone, only these). The hits ascend.
func (b *Box) Save(o Options, hits []Hit) {
	if !o.Has("SAVE") {
		return
	}
	uids := []uint32{}
	only := (o.Has("MIN") || o.Has("MAX")) && !o.Has("ALL") && !o.Has("COUNT")
	for i, h := range hits {
		if !only || i == 0 && o.Has("MIN") || i == len(hits)-1 && o.Has("MAX") {
			uids = append(uids, h.UID)
		}
	}
	b.Saved = mailbox.Ranges(uids)
}

// Result is what a search returns in an ESEARCH response (RFC 4731 §3.1).
type Result struct {
	Tag     string // of the command
	UID     bool
	Options Options
	Hits    []Hit // in the order of the result, which may be that of SORT
	ModSeq  bool  // the highest one is returned, too
}

// Write writes it.
func (r *Result) Write(w *imap.Writer) {
	begin(w, r.Tag, r.UID)
	options, numbers := r.Options.results(), Numbers(r.Hits, r.UID)
	if len(r.Options) == 0 {
		options = Options{{Name: "ALL"}}
	}
	var in []Hit // whose modseq counts
	at := func(n uint32) {
		w.Text(" ")
		w.Number(uint64(n))
		in = append(in, r.Hits[slices.Index(numbers, n)])
	}
	for _, o := range options {
		switch {
		case o.Name == "COUNT":
			w.Text(" COUNT ")
			w.Number(uint64(len(r.Hits)))
		case o.Name == "PARTIAL":
			in = append(in, r.partial(w, o.Partial, numbers)...)
		case len(r.Hits) == 0:
		case o.Name == "MIN":
			w.Text(" MIN")
			at(slices.Min(numbers))
		case o.Name == "MAX":
			w.Text(" MAX")
			at(slices.Max(numbers))
		case o.Name == "ALL":
			w.Text(" ALL ")
			w.Raw(imap.AppendRanges(nil, imap.Numbers(numbers)))
			in = r.Hits
		}
	}
	if options.Has("COUNT") && len(in) == 0 {
		in = r.Hits
	}
	if r.ModSeq && len(in) > 0 {
		w.Text(" MODSEQ ")
		w.Number(Highest(in))
	}
	w.Text("\r\n")
}

// begin writes what an ESEARCH response begins with.
func begin(w *imap.Writer, tag string, uid bool) {
	w.Text("* ESEARCH (TAG ")
	w.String(tag)
	w.Text(")")
	if uid {
		w.Text(" UID")
	}
}

// partial writes one window of the result (RFC 9394 §3.1).
func (r *Result) partial(w *imap.Writer, p imap.Partial, numbers []uint32) []Hit {
	from, to := window(int64(len(r.Hits)), p)
	from, to = max(from, 1), min(to, int64(len(r.Hits)))
	w.Text(" PARTIAL (" + strconv.FormatInt(p.From, 10) + ":" + strconv.FormatInt(p.To, 10) + " ")
	if from > to {
		w.Text("NIL)")
		return nil
	}
	w.Raw(imap.AppendRanges(nil, imap.Numbers(numbers[from-1:to])))
	w.Text(")")
	return r.Hits[from-1 : to]
}

// WriteNumbers begins a response with numbers.
func WriteNumbers(w *imap.Writer, name string, ns []uint32) {
	w.Text("* " + name)
	for _, n := range ns {
		w.Text(" ")
		w.Number(uint64(n))
	}
}

// AppendUID is the response code APPENDUID (RFC 4315 §3).
func AppendUID(b mailbox.Box, uids []uint32) string {
	return "APPENDUID " + strconv.FormatUint(uint64(b.UIDValidity), 10) + " " + string(imap.AppendRanges(nil, imap.Numbers(uids)))
}

// AppendCopied writes what COPYUID says.
func AppendCopied(b []byte, c mailboxes.Copied) []byte {
	b = append(imap.AppendRanges(b, []imap.Range{{Low: c.UIDValidity, High: c.UIDValidity}}), ' ')
	b = append(imap.AppendRanges(b, Written(c.From)), ' ')
	return imap.AppendRanges(b, Written(c.To))
}
