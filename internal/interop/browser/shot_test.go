package browser

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

func TestShots(t *testing.T) {
	base, pw := os.Getenv("SHOT_BASE"), os.Getenv("SHOT_PW")
	if base == "" {
		t.Skip()
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.Headless, chromedp.NoSandbox, chromedp.NoFirstRun, chromedp.DisableGPU)
	defer cancel()
	ctx, cancel = chromedp.NewContext(ctx)
	defer cancel()
	run := func(a ...chromedp.Action[chromedp.Void]) {
		t.Helper()
		if err := chromedp.Do(ctx, a...); err != nil {
			t.Fatal(err)
		}
	}
	run(chromedp.Navigate(base+"/admin/login"), chromedp.SendKeys("input[name=user]", "you"), chromedp.SendKeys("input[name=password]", pw), chromedp.Submit("input[name=password]"), chromedp.WaitVisible("nav"))
	for _, p := range strings.Fields(os.Getenv("SHOT_PAGES")) {
		for _, theme := range []string{"light", "dark"} {
			for _, w := range []int64{400, 1280} {
				if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: theme}}}); err != nil {
					t.Fatal(err)
				}
				run(chromedp.EmulateViewport(w, 800), chromedp.Navigate(base+p))
				b, err := chromedp.Run(ctx, chromedp.FullScreenshot(100))
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("/tmp/shot/%s-%d-%s.png", strings.Trim(strings.NewReplacer("/", "_", "?", "_", "=", "_").Replace(p), "_"), w, theme)
				if err := os.WriteFile(name, b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}
