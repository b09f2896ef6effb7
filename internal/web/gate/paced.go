package gate

import (
	"io"
	"net/http"
	"time"
)

// Paced is an answer that may take as long as it is long, if its client takes some of it in each such time.
func Paced(w http.ResponseWriter, each time.Duration) io.Writer {
	return &paced{w: w, more: http.NewResponseController(w).SetWriteDeadline, each: each}
}

type paced struct {
	w    io.Writer
	more func(time.Time) error
	each time.Duration
}

func (p *paced) Write(b []byte) (int, error) {
	_ = p.more(time.Now().Add(p.each)) // where that cannot be set, the whole has the time of a request
	return p.w.Write(b)
}
