/* The search runs in a Worker, which browsers refuse to pages that were opened from a file. There it runs in a hidden frame
   instead: same script, same messages. The name of this file tells the plugin `offline` not to fetch one from elsewhere. */
(function () {
  if (location.protocol !== "file:") return;

  function load(into, address) {
    return new Promise(function (done, failed) {
      var script = into.createElement("script");
      script.src = address;
      script.onload = function () { done(); };
      script.onerror = function () { failed(new Error("cannot load " + address)); };
      into.head.appendChild(script);
    });
  }

  window.IFrameWorker = true; /* the search's script looks for this name to find its word lists */
  window.Worker = class extends EventTarget {
    constructor(address) {
      super();
      var outside = this;
      var frame = document.createElement("iframe");
      frame.hidden = true;
      frame.title = "search";
      document.body.appendChild(frame);
      var inside = frame.contentWindow;
      inside.importScripts = function () {
        return Array.from(arguments).reduce(function (before, next) {
          return before.then(function () { return load(inside.document, next); });
        }, Promise.resolve());
      };
      inside.postMessage = function (data) {
        outside.dispatchEvent(new MessageEvent("message", { data: data }));
      };
      this.frame = frame;
      this.ready = load(inside.document, new URL(address, document.baseURI).href);
      this.ready.catch(function (problem) {
        outside.dispatchEvent(new ErrorEvent("error", { message: problem.message }));
      });
    }
    postMessage(data) {
      var inside = this.frame.contentWindow;
      this.ready.then(function () {
        inside.dispatchEvent(new inside.MessageEvent("message", { data: data }));
      });
    }
    terminate() { this.frame.remove(); }
  };
})();
