// Says that a decision is on its way, keeps a second click from sending it twice, and closes the window. Everything works without this script.
(function () {
  'use strict';
  var forms = document.querySelectorAll('form[data-busy]');
  forms.forEach(function (form) {
    form.addEventListener('submit', function (event) {
      if (form.dataset.sent) {
        event.preventDefault();
        return;
      }
      form.dataset.sent = 'yes';
      var button = event.submitter;
      if (!button || !button.dataset.busy) return;
      button.textContent = button.dataset.busy;
      form.querySelectorAll('button').forEach(function (b) { b.setAttribute('aria-disabled', 'true'); });
      var status = form.querySelector('[role=status]');
      if (status) status.textContent = button.dataset.busy;
    });
  });
  // The back button may bring the page as it was left.
  addEventListener('pageshow', function (event) {
    if (event.persisted) location.reload();
  });
  var close = document.getElementById('close');
  if (close) {
    close.hidden = false;
    close.addEventListener('click', function () {
      window.close();
      setTimeout(function () {
        document.getElementById('closing').textContent = 'Your browser does not let a page close this tab. Please close it yourself.';
      }, 300);
    });
  }
})();
