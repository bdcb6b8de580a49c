;;; init.el --- A user's init file for the tests in Emacs  -*- lexical-binding: t; -*-

;;; Commentary:

;; Loads the file that is shipped for a client of the protocol, as its page says, with the server that the test names.

;;; Code:

(require 'json)

(setq inhibit-startup-screen t
      make-backup-files nil
      auto-save-default nil
      create-lockfiles nil
      lacuna-command (append (json-parse-string (getenv "LACUNA_TEST_SERVER")) nil))

(defvar test-file (getenv "LACUNA_TEST_FILE") "The file that is shipped.")

(if (string-match-p "eglot" test-file)
    (progn
      (load test-file)
      (add-hook 'python-mode-hook #'eglot-ensure))
  ;; What `package-initialize' does for an installed package.
  (load "lsp-mode-autoloads")
  ;; The project is taken as it is, without a question.
  (setq lsp-auto-guess-root t)
  (load test-file)
  (add-hook 'python-mode-hook #'lsp))

;;; init.el ends here
